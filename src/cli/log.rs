//! The log: to standard error, as the flags say.

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;
use crate::report::Paint;

use super::Context;
use super::error::Error;

/// Begins to log. A command that answers and ends logs warnings only, unless the flag says otherwise.
///
/// # Errors
///
/// If the filter makes no sense.
pub(super) fn install(context: &Context, quiet: bool) -> Result<(), Error> {
    let flags = &context.flags;
    let default = quiet && !context.written.contains("log") && std::env::var_os("DRIFTLESS_LOG").is_none();
    let filter = EnvFilter::try_new(if default { "warn" } else { flags.log.as_str() }).map_err(|error| Error::Usage {
        message: format!("invalid value `{}` for `--log`: {error}", flags.log),
        hint: Some("write a level, as in `debug`, or levels by module, as in `info,driftless::git=debug`".to_owned()),
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Only the first installation counts; there is no other in this process.
    let _ = match flags.log_format {
        LogFormat::Text => builder.with_ansi(context.ui.err == Paint::Ansi).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}
