//! The machine that a run was trained on.

use std::{env, fs, process::Command, sync::OnceLock, thread};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is known of a machine; what the system does not tell is null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Its name in the network.
    pub hostname: String,
    /// The processor, such as `AMD EPYC 7763 64-Core Processor`.
    pub cpu: Option<String>,
    /// Processors that this process may use, hyper-threads counted.
    pub cores: Option<usize>,
    /// Main memory in bytes.
    pub memory_bytes: Option<u64>,
    /// The operating system, such as `Debian GNU/Linux 13 (trixie)`, or `linux`.
    pub os: String,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// The processor's architecture, such as `x86_64`.
    pub architecture: String,
}

impl Machine {
    /// Asks the operating system.
    #[must_use]
    pub fn detect() -> Self {
        Self {
            hostname: hostname().to_owned(),
            cpu: line_value("/proc/cpuinfo", "model name", ':')
                .or_else(|| command("sysctl", &["-n", "machdep.cpu.brand_string"])),
            cores: thread::available_parallelism().ok().map(Into::into),
            memory_bytes: memory_bytes(),
            os: line_value("/etc/os-release", "PRETTY_NAME", '=')
                .unwrap_or_else(|| env::consts::OS.to_owned()),
            kernel: file("/proc/sys/kernel/osrelease").or_else(|| command("uname", &["-r"])),
            architecture: env::consts::ARCH.to_owned(),
        }
    }
}

/// The machine's name in the network, or `unknown`.
#[must_use]
pub fn hostname() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        file("/proc/sys/kernel/hostname")
            .or_else(|| command("hostname", &[]))
            .or_else(|| env::var("COMPUTERNAME").ok())
            .unwrap_or_else(|| "unknown".to_owned())
    })
}

fn memory_bytes() -> Option<u64> {
    let from_proc = line_value("/proc/meminfo", "MemTotal", ':')
        .and_then(|text| text.trim_end_matches("kB").trim().parse::<u64>().ok())
        .map(|kibibytes| kibibytes * 1024);
    from_proc.or_else(|| command("sysctl", &["-n", "hw.memsize"])?.parse().ok())
}

/// The value of the first line `key<separator>value` of a file.
fn line_value(path: &str, key: &str, separator: char) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(separator)?;
        (name.trim() == key).then_some(value)
    });
    value.and_then(non_empty)
}

fn file(path: &str) -> Option<String> {
    non_empty(&fs::read_to_string(path).ok()?)
}

fn command(program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    non_empty(&String::from_utf8(output.stdout).ok()?)
}

fn non_empty(text: &str) -> Option<String> {
    let text = text.trim().trim_matches('"');
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_key() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "NAME=x\nPRETTY_NAME=\"Some OS 1\"\nmodel name\t: A CPU\nempty=\n").unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(line_value(path, "PRETTY_NAME", '='), Some("Some OS 1".to_owned()));
        assert_eq!(line_value(path, "model name", ':'), Some("A CPU".to_owned()));
        assert_eq!(line_value(path, "empty", '='), None);
        assert_eq!(line_value(path, "absent", '='), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_tells_its_memory_and_kernel() {
        let machine = Machine::detect();
        assert!(machine.memory_bytes.unwrap() > 64 << 20, "{machine:?}");
        assert!(machine.kernel.is_some() && machine.cores.unwrap() > 0, "{machine:?}");
    }
}
