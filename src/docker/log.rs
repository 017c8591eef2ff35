//! The last lines that a container wrote: why it ended is often only there.

use std::time::Duration;

use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;

use super::Docker;

/// A line is cut after so many characters.
const LONGEST: usize = 200;
/// Who waits for the lines has something better to do after so long.
const PATIENCE: Duration = Duration::from_secs(2);

impl Docker {
    /// Returns the last lines that a container wrote, as far as the engine has them. There is no error:
    /// nothing depends on them.
    pub async fn last_lines(&self, container: &str, count: u32) -> Vec<String> {
        let options = LogsOptions { stdout: true, stderr: true, tail: count.to_string(), ..LogsOptions::default() };
        let mut logs = std::pin::pin!(self.inner.client.logs(container, Some(options)));
        let mut text = String::new();
        let read = async {
            while let Some(Ok(part)) = logs.next().await {
                text.push_str(&part.to_string());
            }
        };
        // What came until then will do.
        let _ = tokio::time::timeout(PATIENCE, read).await;
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let first = lines.len().saturating_sub(count as usize);
        lines[first..].iter().map(|line| line.chars().take(LONGEST).collect()).collect()
    }
}
