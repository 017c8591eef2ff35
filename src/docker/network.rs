//! Networks: the one that an installation's Kubernetes replicas share, and live connections to it.
//!
//! Network names are not unique on an engine, so a name that appears twice is repaired here.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, Network as EngineNetwork, NetworkConnectRequest, NetworkCreateRequest,
};
use bollard::query_parameters::ListNetworksOptions;

use crate::desired::{Desired, Network};
use crate::host::Class;
use crate::name::{Kind, ObjectId};

use super::error::{Accept, During, Error, text};
use super::{Docker, answer, host, label};

impl Docker {
    pub(super) async fn create_network(&self, id: &ObjectId, desired: &Desired) -> Result<(), Error> {
        let network = desired.networks.get(id).ok_or_else(|| super::unknown("create", id))?;
        if self.repair_network(network).await? {
            return Ok(());
        }
        let request = self.network_request(network, desired);
        if let Err(error) = self.inner.client.create_network(request).await {
            let words = text(&error);
            // Another call of ours may have come first, such as one before a crash.
            if words.contains("overlap") && self.repair_network(network).await? {
                return Ok(());
            }
            if words.contains("overlap") {
                let subnet = self.inner.installation.layout.network;
                let reason = format!(
                    "its addresses {subnet} overlap with another network of this host ({words}); choose others with `--network-pool CIDR`"
                );
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
            self.inner.client.remove_network(duplicate).await.accept(&[403, 404]).during("remove the duplicate of", name)?;
        }
        Ok(true)
    }

    async fn networks_named(&self, name: &str) -> Result<Vec<EngineNetwork>, Error> {
        // The engine's filter also finds names that only contain this one.
        let filters = HashMap::from([("name".to_owned(), vec![name.to_owned()])]);
        let options = ListNetworksOptions { filters: Some(filters) };
        let networks = self.inner.client.list_networks(Some(options)).await.during("look for", name)?;
        Ok(networks.into_iter().filter(|network| network.name.as_deref() == Some(name)).collect())
    }

    fn network_request(&self, network: &Network, desired: &Desired) -> NetworkCreateRequest {
        let layout = &self.inner.installation.layout;
        let config = IpamConfig {
            subnet: Some(layout.network.to_string()),
            ip_range: Some(layout.automatic().to_string()),
            gateway: Some(layout.gateway().to_string()),
            auxiliary_addresses: None,
        };
        let application = (!network.shared).then_some(&desired.application);
        let mtu = host::mtu().map(|mtu| HashMap::from([("com.docker.network.driver.mtu".to_owned(), mtu.to_string())]));
        NetworkCreateRequest {
            name: network.host_name.clone(),
            driver: Some("bridge".to_owned()),
            ipam: network.shared.then(|| Ipam { config: Some(vec![config]), ..Ipam::default() }),
            options: mtu,
            labels: Some(label::object(&desired.installation.owner, application, &network.id)),
            ..NetworkCreateRequest::default()
        }
    }

    /// Connects a container to a network that it was taken off.
    pub(super) async fn connect_container(&self, id: &ObjectId, container: &str, network: &str, desired: &Desired) -> Result<(), Error> {
        if !is_shared(desired, network) {
            return self.connect_endpoint(container, network, None).await;
        }
        if id.kind == Kind::Front {
            return self.connect_endpoint(container, network, Some(self.inner.installation.layout.front())).await;
        }
        let address = match self.known_address(&super::name::replica(id)) {
            Some(address) => address,
            None => self.choose_address(network).await?,
        };
        let connected = self.connect_endpoint(container, network, Some(address)).await;
        self.release_address(address);
        connected
    }

    pub(super) async fn connect_endpoint(&self, container: &str, network: &str, address: Option<Ipv4Addr>) -> Result<(), Error> {
        let request = NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(endpoint(address)) };
        match self.inner.client.connect_network(network, request).await {
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

/// Returns an endpoint with a static address, or one that Docker chooses.
pub(super) fn endpoint(address: Option<Ipv4Addr>) -> EndpointSettings {
    let ipam = address.map(|address| EndpointIpamConfig { ipv4_address: Some(address.to_string()), ..EndpointIpamConfig::default() });
    EndpointSettings { ipam_config: ipam, ..EndpointSettings::default() }
}
