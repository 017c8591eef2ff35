# What is changed by hand is healed, and reported field by field.
# shellcheck shell=bash disable=SC2154
step "Compose: what is changed by hand is reported field by field, and healed"

# From here on a release that is not ready in time has failed.
settings+=("deadline: 10s")
drifts 3 "${project}_back" "${settings[@]}"
