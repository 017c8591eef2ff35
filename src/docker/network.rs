//! Networks: the one that an installation's Kubernetes replicas share, and live connections to it.
//!
//! Network names are not unique on an engine, so a name that appears twice is repaired here.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, Network as EngineNetwork, NetworkConnectRequest, NetworkCreateRequest,
    NetworkDisconnectRequest,
};
use bollard::query_parameters::{InspectNetworkOptions, ListNetworksOptions};

use ipnet::Ipv4Net;

use crate::desired::{Desired, Network, Options};
use crate::host::Class;
use crate::name::{Kind, ObjectId};

use super::error::{Accept, During, Error, status, text};
use super::{Docker, answer, host, label};

/// Networks of projects have 254 addresses each.
const PROJECT_PREFIX: u8 = 24;

impl Docker {
    pub(super) async fn create_network(&self, id: &ObjectId, desired: &Desired) -> Result<(), Error> {
        let network = desired.networks.get(id).ok_or_else(|| super::unknown("create", id))?;
        if self.repair_network(network).await? {
            return Ok(());
        }
        let _alone = self.inner.networks.lock().await;
        let subnet = self.free_subnet(network).await?;
        let request = self.network_request(network, subnet, desired);
        if let Err(error) = self.timed("create_network", self.inner.client.create_network(request)).await {
            let words = text(&error);
            // Another call of ours may have come first, such as one before a crash.
            if words.contains("overlap") && self.repair_network(network).await? {
                return Ok(());
            }
            if let Some(subnet) = subnet.filter(|_| words.contains("overlap")) {
                // Others are chosen at the next try.
                let reason = format!("somebody else has taken its addresses {subnet} meanwhile ({words})");
                return Err(Error::refused(Class::Host, "create", &network.host_name, reason));
            }
            if words.contains("overlap") {
                let (addresses, advice) = match network.shared {
                    true => (self.inner.installation.layout.network.to_string(), "choose others with `--network-pool CIDR`"),
                    false => {
                        let written: Vec<&str> =
                            network.options.ipam.iter().filter_map(|ipam| Some(ipam.get("subnet")?.as_str())).collect();
                        (written.join(", "), "choose another `subnet`, or leave it out")
                    }
                };
                let reason = format!("its addresses {addresses} overlap with another network of this host ({words}); {advice}");
                return Err(Error::refused(Class::User, "create", &network.host_name, reason));
            }
            return Err(error).during("create", &network.host_name);
        }
        self.repair_network(network).await?;
        Ok(())
    }

    /// Removes duplicates of a network of ours; returns whether one is there.
    async fn repair_network(&self, network: &Network) -> Result<bool, Error> {
        let name = &network.host_name;
        let mut found = self.networks_named(name).await?;
        let is_ours = |found: &EngineNetwork| {
            let labels = found.labels.as_ref().and_then(label::read_object);
            labels.is_some_and(|labels| labels.owner == self.inner.installation.owner)
        };
        let of_project = |found: &EngineNetwork| found.labels.as_ref().and_then(label::of_project).as_ref() == Some(&network.id);
        if found.iter().any(of_project) {
            return Ok(true);
        }
        if let Some(foreign) = found.iter().find(|network| !is_ours(network)) {
            let reason = format!("network {} has this name and is not ours", foreign.id.as_deref().unwrap_or_default());
            return Err(Error::refused(Class::User, "create", name, reason));
        }
        found.sort_by(|a, b| (&a.created, &a.id).cmp(&(&b.created, &b.id)));
        let Some(first) = found.first() else { return Ok(false) };
        let subnets = answer::subnets(first);
        let subnet = self.inner.installation.layout.network.to_string();
        if network.shared && !subnets.contains(&subnet) {
            let has = subnets.join(", ");
            let reason =
                format!("it has the addresses {has}, but `--network-pool` asks for {subnet}; restore the flag, or remove the network");
            return Err(Error::refused(Class::User, "create", name, reason));
        }
        for duplicate in found.iter().skip(1).filter_map(|network| network.id.as_deref()) {
            // One that is in use stays: 403.
            self.timed("remove_network", self.inner.client.remove_network(duplicate))
                .await
                .accept(&[403, 404])
                .during("remove the duplicate of", name)?;
        }
        Ok(true)
    }

    async fn networks_named(&self, name: &str) -> Result<Vec<EngineNetwork>, Error> {
        // The engine's filter also finds names that only contain this one.
        let filters = HashMap::from([("name".to_owned(), vec![name.to_owned()])]);
        let options = ListNetworksOptions { filters: Some(filters) };
        let networks = self.timed("list_networks", self.inner.client.list_networks(Some(options))).await.during("look for", name)?;
        Ok(networks.into_iter().filter(|network| network.name.as_deref() == Some(name)).collect())
    }

    /// Returns addresses for a network of a project whose author chose none: Docker's own would run out
    /// after about thirty networks. `None` leaves the choice to Docker.
    async fn free_subnet(&self, network: &Network) -> Result<Option<Ipv4Net>, Error> {
        let ordinary = network.options.driver.as_deref().is_none_or(|driver| driver == "bridge");
        if network.shared || !network.options.ipam.is_empty() || !ordinary {
            return Ok(None);
        }
        let layout = &self.inner.installation.layout;
        let networks =
            self.timed("list_networks", self.inner.client.list_networks(None::<ListNetworksOptions>)).await.during("list", "networks")?;
        let mut taken: Vec<Ipv4Net> = networks.iter().flat_map(answer::subnets).filter_map(|subnet| subnet.parse().ok()).collect();
        taken.extend(host::routes());
        taken.push(layout.network);
        let overlaps = |one: &Ipv4Net, other: &Ipv4Net| one.contains(&other.network()) || other.contains(&one.network());
        let subnets = layout.pool.subnets(PROJECT_PREFIX).ok().into_iter().flatten();
        Ok(subnets.into_iter().find(|subnet| !taken.iter().any(|known| overlaps(known, subnet))))
    }

    fn network_request(&self, network: &Network, subnet: Option<Ipv4Net>, desired: &Desired) -> NetworkCreateRequest {
        let layout = &self.inner.installation.layout;
        let options = &network.options;
        let config = IpamConfig {
            subnet: Some(layout.network.to_string()),
            ip_range: Some(layout.automatic().to_string()),
            gateway: Some(layout.gateway().to_string()),
            auxiliary_addresses: None,
        };
        let application = (!network.shared).then_some(&desired.application);
        let driver = options.driver.clone().unwrap_or_else(|| "bridge".to_owned());
        let mtu = host::mtu().filter(|_| driver == "bridge").map(|mtu| ("com.docker.network.driver.mtu".to_owned(), mtu.to_string()));
        let driver_opts: HashMap<String, String> = mtu.into_iter().chain(options.driver_opts.clone()).collect();
        let written = options.ipam.iter().map(|config| IpamConfig {
            subnet: config.get("subnet").cloned(),
            ip_range: config.get("ip_range").cloned(),
            gateway: config.get("gateway").cloned(),
            auxiliary_addresses: None,
        });
        let chosen = subnet.map(|subnet| IpamConfig { subnet: Some(subnet.to_string()), ..IpamConfig::default() });
        let configs: Vec<IpamConfig> = match network.shared {
            true => vec![config],
            false => written.chain(chosen).collect(),
        };
        let mut labels: label::Map = options.labels.clone().into_iter().collect();
        labels.extend(label::object(&desired.installation.owner, application, &network.id));
        NetworkCreateRequest {
            name: network.host_name.clone(),
            driver: Some(driver),
            internal: Some(options.internal),
            attachable: Some(options.attachable),
            ipam: (!configs.is_empty()).then(|| Ipam { config: Some(configs), ..Ipam::default() }),
            options: Some(driver_opts),
            labels: Some(labels),
            ..NetworkCreateRequest::default()
        }
    }

    /// Connects a container to a network that it was taken off.
    pub(super) async fn connect_container(&self, id: &ObjectId, container: &str, network: &str, desired: &Desired) -> Result<(), Error> {
        if !is_shared(desired, network) {
            let endpoint = match (desired.workloads.get(&id.workload()), desired.fronts.get(id)) {
                (Some(workload), _) => project_endpoint(&workload.template.options, network),
                (None, Some(front)) => endpoint(None, front.aliases.get(network)),
                (None, None) => endpoint(None, None),
            };
            return self.connect_endpoint(container, network, endpoint).await;
        }
        if id.kind == Kind::Front {
            return self.connect_endpoint(container, network, endpoint(Some(self.inner.installation.layout.front()), None)).await;
        }
        let address = match self.known_address(&super::name::replica(id)) {
            Some(address) => address,
            None => self.choose_address(network).await?,
        };
        let connected = self.connect_endpoint(container, network, endpoint(Some(address), None)).await;
        self.release_address(address);
        connected
    }

    /// Takes a container of ours off a network.
    pub(super) async fn disconnect_container(&self, container: &str, network: &str) -> Result<(), Error> {
        let Some(found) = self.inspect_own("disconnect", container).await? else { return Ok(()) };
        if !answer::endpoints(&found).any(|(known, _)| known == network) {
            return Ok(());
        }
        let request = NetworkDisconnectRequest { container: container.to_owned(), force: Some(false) };
        self.timed("disconnect_network", self.inner.client.disconnect_network(network, request))
            .await
            .accept(&[404])
            .during("disconnect from the network", network)
    }

    /// Removes a network of ours. The engine refuses if a running container is on it.
    pub(super) async fn remove_network(&self, id: &ObjectId, network: &str) -> Result<(), Error> {
        let found = match self.timed("inspect_network", self.inner.client.inspect_network(network, None::<InspectNetworkOptions>)).await {
            Err(error) if status(&error) == Some(404) => return Ok(()),
            found => found.during("look for the network", id.to_string())?,
        };
        let owner = found.labels.as_ref().and_then(label::read_object).map(|labels| labels.owner);
        if owner.as_ref() != Some(&self.inner.installation.owner) {
            return Err(Error::refused(Class::Internal, "remove the network", id.to_string(), "it is not ours"));
        }
        self.timed("remove_network", self.inner.client.remove_network(network))
            .await
            .accept(&[404])
            .during("remove the network", id.to_string())
    }

    pub(super) async fn connect_endpoint(&self, container: &str, network: &str, endpoint: EndpointSettings) -> Result<(), Error> {
        let request = NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(endpoint) };
        match self.timed("connect_network", self.inner.client.connect_network(network, request)).await {
            Err(error) if text(&error).contains("already exists in network") => Ok(()),
            other => other.during("connect to the network", network),
        }
    }
}

/// Tells whether a network is the one that an installation's Kubernetes replicas share; it alone has
/// static addresses.
pub(super) fn is_shared(desired: &Desired, network: &str) -> bool {
    desired.networks.values().any(|known| known.shared && known.host_name == network)
}

/// Returns the endpoint of a replica on a network of its project.
pub(super) fn project_endpoint(options: &Options, network: &str) -> EndpointSettings {
    EndpointSettings { mac_address: options.macs.get(network).cloned(), ..endpoint(None, options.aliases.get(network)) }
}

/// Returns an endpoint with a static address, or one that Docker chooses.
pub(super) fn endpoint(address: Option<Ipv4Addr>, aliases: Option<&BTreeSet<String>>) -> EndpointSettings {
    let ipam = address.map(|address| EndpointIpamConfig { ipv4_address: Some(address.to_string()), ..EndpointIpamConfig::default() });
    let aliases = aliases.map(|aliases| aliases.iter().cloned().collect());
    EndpointSettings { ipam_config: ipam, aliases, ..EndpointSettings::default() }
}
