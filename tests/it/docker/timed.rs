//! Calls of the engine are timed by their names.

use std::sync::Arc;

use driftless::host::Step;
use driftless::metric::Metrics;

use crate::engine::docker_or_skip;

#[tokio::test]
async fn calls_of_the_engine_are_timed_whether_they_fail_or_not() {
    let Some(bench) = docker_or_skip().await else { return };
    let metrics: Arc<Metrics> = Arc::default();
    let docker = bench.docker.clone().timed_in(metrics.clone());
    docker.owners().await.expect("owners");
    let gone = Step::RemoveNetwork { network: bench.network().id, id: "f00d".repeat(16) };
    docker.run(&gone, &bench.desired()).await.expect("what is not there is removed");
    let text = metrics.text([]);
    for call in ["list_networks", "inspect_network"] {
        let count = format!("driftless_docker_request_duration_seconds_count{{call=\"{call}\"}} 1\n");
        assert!(text.contains(&count), "{count}{text}");
    }
}
