# What is changed by hand is healed, and reported field by field.
# shellcheck shell=bash disable=SC2154
step "Drift: what is changed by hand is reported field by field, and healed"

drifts 4 "$network" "${settings[@]}"
