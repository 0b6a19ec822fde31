//! How many workers can one folder serve? `cargo run --release --example claims -- FOLDER WORKERS TASKS SECONDS`
//!
//! Each worker is a thread with its own view of the folder, and claims tasks as a separate process would. Prints the
//! claims per second, and how long workers waited for a task.

#![allow(clippy::print_stdout, reason = "it prints its results")]

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use kiln_study::simulate_claims;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, workers, tasks, seconds] = &arguments[..] else {
        return Err("four arguments: FOLDER WORKERS TASKS SECONDS".into());
    };
    let work = Duration::from_secs_f64(seconds.parse()?);
    let found = simulate_claims(Path::new(folder), workers.parse()?, tasks.parse()?, work)?;
    let at = |share: f64| found.waits[((found.waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let elapsed = found.elapsed.as_secs_f64();
    println!(
        "{workers} workers, {tasks} tasks of {seconds} s: {} claims, {} twice, {elapsed:.1} s, {:.0} claims/s; waits: median {:.1} \
         ms, 99 % {:.1} ms, longest {:.0} ms",
        found.claims,
        found.twice,
        found.claims as f64 / elapsed,
        at(0.5),
        at(0.99),
        at(1.0)
    );
    Ok(())
}
