//! What the kernel knows of a process.

use std::fs::{read_dir, read_to_string};

/// Time that threads ran, in nanoseconds, by their names.
pub fn threads(process: u32) -> Vec<(String, u64)> {
    let Ok(tasks) = read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let of_thread = |task: std::io::Result<std::fs::DirEntry>| {
        let path = task.ok()?.path();
        let name = read_to_string(path.join("comm")).ok()?.trim().to_owned();
        let ran = read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse().ok()?;
        Some((name, ran))
    };
    tasks.filter_map(of_thread).collect()
}

/// The threads whose names fit, together.
pub fn cpu_of(process: u32, fits: impl Fn(&str) -> bool) -> u64 {
    threads(process).iter().filter(|(name, _)| fits(name)).map(|(_, ran)| ran).sum()
}

/// Resident bytes.
pub fn rss(process: u32) -> u64 {
    let status = read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// The machine, for those who read figures later.
pub fn machine() -> serde_json::Value {
    let cpu = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    serde_json::json!({
        "cpu": model.unwrap_or("unknown"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "load": load(),
        "kernel": read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
    })
}

/// The load average of the last minute.
pub fn load() -> f64 {
    let text = read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}
