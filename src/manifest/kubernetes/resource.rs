//! `resources`: limits and reservations of cpu and memory.

use crate::desired::Resources;
use crate::manifest::cursor::{Cursor, Fields};

use super::quantity;

/// Docker refuses less memory than this: 6 MiB.
const LEAST_MEMORY: u64 = 6 << 20;
/// Docker refuses less than a hundredth of a core.
const LEAST_CPU: u64 = 10_000_000;

const OTHERS: &str = "only `cpu` and `memory` are supported";

/// Decodes a container's `resources`. A limit without a request is also the request, as in Kubernetes.
pub fn decode(fields: &mut Fields<'_>) -> Resources {
    let Some(field) = fields.get("resources") else { return Resources::default() };
    let resources = field.fields(|fields| {
        let limits = fields.get("limits").and_then(|field| amounts(&field)).unwrap_or_default();
        let requests = fields.get("requests").and_then(|field| amounts(&field)).unwrap_or_default();
        fields.refuse(&[("claims", OTHERS)]);
        for (limit, request) in [(&limits.cpu, &requests.cpu), (&limits.memory, &requests.memory)] {
            if let (Some((limit, _)), Some((request, field))) = (limit, request)
                && request > limit
            {
                field.error("out-of-range", "is more than the limit");
            }
        }
        if let Some((limit, field)) = &limits.cpu
            && *limit < LEAST_CPU
        {
            field.error("out-of-range", "is less than `10m`, the least that Docker can do");
        }
        for (amount, field) in [&limits.memory, &requests.memory].into_iter().flatten() {
            if *amount < LEAST_MEMORY {
                field.error("out-of-range", "is less than `6Mi`, the least that Docker can do");
            }
        }
        let value = |amount: &Option<(u64, Cursor<'_>)>| amount.as_ref().map(|(amount, _)| *amount);
        Resources {
            cpu_limit: value(&limits.cpu),
            memory_limit: value(&limits.memory),
            cpu_request: value(&requests.cpu).or(value(&limits.cpu)),
            memory_request: value(&requests.memory).or(value(&limits.memory)),
        }
    });
    resources.unwrap_or_default()
}

/// Amounts and where they are written.
#[derive(Default)]
struct Amounts<'a> {
    /// Billionths of a core.
    cpu: Option<(u64, Cursor<'a>)>,
    /// Bytes.
    memory: Option<(u64, Cursor<'a>)>,
}

fn amounts<'a>(field: &Cursor<'a>) -> Option<Amounts<'a>> {
    field.fields(|fields| {
        let cpu = fields.get("cpu").and_then(|field| Some((u64::try_from(amount(&field)?).unwrap_or(u64::MAX), field)));
        let memory = fields.get("memory").and_then(|field| Some((quantity::whole(amount(&field)?), field)));
        // Nothing reserved is what leaving it out means.
        let (cpu, memory) = (cpu.filter(|(amount, _)| *amount > 0), memory.filter(|(amount, _)| *amount > 0));
        // Extended resources have a domain in their names.
        fields.refuse_where(|name| name.contains('/') || name.starts_with("hugepages-") || name == "ephemeral-storage", OTHERS);
        Amounts { cpu, memory }
    })
}

fn amount(field: &Cursor<'_>) -> Option<i128> {
    let nano = quantity::of(field)?;
    if nano < 0 {
        field.error("out-of-range", "cannot be negative");
        return None;
    }
    Some(nano)
}
