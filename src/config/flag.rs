//! The flags that all commands take. Each can also be set as `DRIFTLESS_<NAME>`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ipnet::Ipv4Net;

use crate::desired::Layout;
use crate::name::{Name, dns_subdomain};
use crate::policy::Policy;

use super::Application;

/// The flags that all commands take.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Flags {
    /// Folder for keys, mirrors and history
    #[arg(long, global = true, env = "DRIFTLESS_STATE", value_name = "DIR", default_value = "/var/lib/driftless", hide_env_values = true)]
    pub state: PathBuf,

    /// Id of this installation on the engine [default: made once, kept in the state folder]
    #[arg(long, global = true, env = "DRIFTLESS_OWNER", value_name = "ID", value_parser = name, hide_env_values = true)]
    pub owner: Option<Name>,

    /// Docker Engine to use [default: as the Docker client finds it]
    #[arg(long, global = true, env = "DRIFTLESS_DOCKER", value_name = "URL", hide_env_values = true)]
    pub docker: Option<String>,

    /// Socket over which commands talk to a running agent [default: STATE/agent.sock]
    #[arg(long, global = true, env = "DRIFTLESS_SOCKET", value_name = "PATH", hide_env_values = true)]
    pub socket: Option<PathBuf>,

    /// Addresses for networks; the first /16 is the Kubernetes network
    #[arg(
        long,
        global = true,
        env = "DRIFTLESS_NETWORK_POOL",
        value_name = "CIDR",
        default_value = "10.64.0.0/12",
        value_parser = pool,
        hide_env_values = true
    )]
    pub network_pool: Ipv4Net,

    /// Address at which this host asks for names of the zone
    #[arg(long, global = true, env = "DRIFTLESS_DNS", value_name = "ADDR", default_value = "127.0.0.1:10053", hide_env_values = true)]
    pub dns: SocketAddr,

    /// Address for pages, badges, metrics, hooks and the API of the agent; `none` for none
    #[arg(
        long,
        global = true,
        env = "DRIFTLESS_HTTP",
        value_name = "ADDR",
        default_value = "127.0.0.1:8765",
        value_parser = http,
        hide_env_values = true
    )]
    pub http: Http,

    /// File with the secret that forges sign hooks with; without it there are no hooks
    #[arg(long, global = true, env = "DRIFTLESS_HOOK_SECRET_FILE", value_name = "FILE", hide_env_values = true)]
    pub hook_secret_file: Option<PathBuf>,

    /// File with the token for page and API; without it only this host may read them
    #[arg(long, global = true, env = "DRIFTLESS_API_TOKEN_FILE", value_name = "FILE", hide_env_values = true)]
    pub api_token_file: Option<PathBuf>,

    /// DNS zone of all services
    #[arg(
        long,
        global = true,
        env = "DRIFTLESS_ZONE",
        value_name = "NAME",
        default_value = "cluster.local",
        value_parser = zone,
        hide_env_values = true
    )]
    pub zone: String,

    /// Name of this host in reports [default: the host's own]
    #[arg(long, global = true, env = "DRIFTLESS_HOST", value_name = "NAME", hide_env_values = true)]
    pub host: Option<String>,

    /// Folder of policies that all manifests are judged by, besides the shipped ones
    #[arg(long, global = true, env = "DRIFTLESS_POLICIES", value_name = "DIR", hide_env_values = true)]
    pub policies: Option<PathBuf>,

    /// What is logged, such as `info` or `driftless::git=debug`
    #[arg(long, global = true, env = "DRIFTLESS_LOG", value_name = "FILTER", default_value = "info", hide_env_values = true)]
    pub log: String,

    /// How it is logged
    #[arg(
        long,
        global = true,
        env = "DRIFTLESS_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        default_value_t = LogFormat::Text,
        hide_env_values = true
    )]
    pub log_format: LogFormat,
}

/// Where the agent listens for HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http {
    /// Nowhere.
    Off,
    /// At an address; port 0 is any that is free.
    At(SocketAddr),
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Flags {
    /// Returns the socket over which commands talk to a running agent.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| self.state.join("agent.sock"))
    }

    /// Returns the name of this host in reports.
    pub fn host(&self) -> String {
        let own =
            || std::fs::read_to_string("/proc/sys/kernel/hostname").map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned());
        self.host.clone().unwrap_or_else(own)
    }

    /// Returns what an application's manifests are judged by.
    pub fn policy(&self, application: &Application) -> Policy {
        let folders = self.policies.iter().chain(&application.policy.folders);
        // Findings name their files, and whoever reads them may be in another folder.
        let absolute = |folder: &PathBuf| std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        Policy { folders: folders.map(absolute).collect(), ..application.policy.clone() }
    }

    /// Lets all applications be judged by the policies of the flags, too.
    pub fn apply_policies(&self, applications: &mut [Application]) {
        for application in applications {
            application.policy = self.policy(application);
        }
    }

    /// Returns how the Kubernetes network's addresses are divided.
    pub fn layout(&self) -> Layout {
        Layout::new(self.network_pool).expect("the flag's parser took it")
    }
}

fn name(text: &str) -> Result<Name, String> {
    Name::try_from(text).map_err(|error| error.to_string())
}

fn zone(text: &str) -> Result<String, String> {
    let zone = text.trim_end_matches('.');
    dns_subdomain(zone).map(|()| zone.to_owned()).map_err(|error| error.to_string())
}

fn http(text: &str) -> Result<Http, String> {
    match text {
        "none" => Ok(Http::Off),
        text => text.parse().map(Http::At).map_err(|_| "is neither an address and port, as in `127.0.0.1:8765`, nor `none`".to_owned()),
    }
}

fn pool(text: &str) -> Result<Ipv4Net, String> {
    let pool: Ipv4Net = text.parse().map_err(|_| "is not a network, as in `10.64.0.0/12`".to_owned())?;
    Layout::new(pool).map(|_| pool.trunc()).ok_or_else(|| "is too small: at least a /16 is needed".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        flags: Flags,
    }

    fn parse(arguments: &[&str]) -> Result<Flags, String> {
        let all = std::iter::once("driftless").chain(arguments.iter().copied());
        Command::try_parse_from(all).map(|command| command.flags).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_the_contracts() {
        let flags = parse(&[]).unwrap();
        assert_eq!(flags.state, PathBuf::from("/var/lib/driftless"));
        assert_eq!(flags.socket(), PathBuf::from("/var/lib/driftless/agent.sock"));
        assert_eq!(flags.network_pool.to_string(), "10.64.0.0/12");
        assert_eq!(flags.layout().network.to_string(), "10.64.0.0/16");
        assert_eq!(flags.dns.to_string(), "127.0.0.1:10053");
        assert_eq!(flags.http, Http::At(SocketAddr::from(([127, 0, 0, 1], 8765))));
        assert_eq!(parse(&["--http", "none"]).unwrap().http, Http::Off);
        assert_eq!((flags.zone.as_str(), flags.log.as_str(), flags.log_format), ("cluster.local", "info", LogFormat::Text));
        assert_eq!((flags.owner.is_none(), flags.docker.is_none(), flags.host().is_empty()), (true, true, false));
    }

    #[test]
    fn wrong_values_are_refused_with_their_reason() {
        for (arguments, reason) in [
            (["--network-pool", "10.0.0.0/24"], "at least a /16"),
            (["--network-pool", "ten"], "is not a network"),
            (["--zone", "Cluster"], "only lower-case letters"),
            (["--owner", "a b"], "only letters"),
            (["--dns", "10053"], "invalid socket address"),
            (["--http", "8765"], "neither an address and port"),
            (["--log-format", "xml"], "possible values: text, json"),
        ] {
            let error = parse(&arguments).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(parse(&["--zone", "example.org."]).unwrap().zone, "example.org");
    }

    #[test]
    fn each_flag_has_its_variable() {
        use clap::CommandFactory;
        for argument in Command::command().get_arguments().filter(|argument| argument.get_long().is_some_and(|long| long != "help")) {
            let long = argument.get_long().unwrap_or_default();
            let variable = format!("DRIFTLESS_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(argument.get_env().and_then(|name| name.to_str()), Some(variable.as_str()), "--{long}");
        }
    }
}
