//! Listeners, mounts, HTTP routes, health, metrics.
