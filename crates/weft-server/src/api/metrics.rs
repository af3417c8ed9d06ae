//! `/metrics` in the Prometheus text format (version 0.0.4), written by hand.
//!
//! Aggregates only: states, queues, devices, routes. No user's or workload's name is a label,
//! so that the number of series is bounded by the pool and nothing personal is scraped.

use super::call::Call;
use super::data::figures::Figures;
use super::fault::{Fault, internal};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use weft_gateway::AwayState;
use weft_sched::{QueueUse, Snapshot, WorkloadState};
use weft_store::{Commits, DatasetRow, DeviceRow, Read, StoreError};
use weft_types::{QueueName, Timestamp};

/// Upper bounds of the latency histogram in milliseconds, around the promised p95 of 100.
const BOUNDS_MS: [u64; 10] = [1, 2, 5, 10, 25, 50, 100, 250, 1_000, 10_000];

/// Counts of requests, by route and status class.
#[derive(Debug, Default)]
pub(crate) struct HttpMetrics {
    routes: Mutex<BTreeMap<(&'static str, &'static str), Counts>>,
}

#[derive(Debug, Clone, Default)]
struct Counts {
    /// By first digit of the status, 1 to 5.
    classes: [u64; 5],
    /// By bound; the last is above them all.
    buckets: [u64; BOUNDS_MS.len() + 1],
    total: Duration,
}

impl HttpMetrics {
    /// Notes an answered request.
    pub(crate) fn note(
        &self,
        method: &'static str,
        path: &'static str,
        status: u16,
        took: Duration,
    ) {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = routes.entry((path, method)).or_default();
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        counts.classes[class] += 1;
        let millis = took.as_millis();
        let bucket = BOUNDS_MS.iter().position(|bound| millis <= u128::from(*bound));
        counts.buckets[bucket.unwrap_or(BOUNDS_MS.len())] += 1;
        counts.total += took;
    }
}

/// `GET /metrics`.
pub(crate) async fn scrape(call: Call) -> Result<Response, Fault> {
    let read = |r: &Read<'_>| -> Result<_, StoreError> {
        Ok((r.snapshot()?, r.devices()?, r.datasets()?, Figures::read(r)?))
    };
    let (snapshot, devices, sets, figures) = call.app.store.read(read).await?;
    let mut out = String::new();
    workloads(&mut out, &snapshot).map_err(internal)?;
    queues(&mut out, &weft_sched::queue_use(&snapshot)).map_err(internal)?;
    self::devices(&mut out, &call, &snapshot, &devices).map_err(internal)?;
    data(&mut out, &sets, call.now).map_err(internal)?;
    let (totals, stats) = (call.app.reads.totals(), call.app.control.stats());
    figures.write(&mut out, &totals, &stats).map_err(internal)?;
    call.app.data.away().map_or(Ok(()), |state| data_store(&mut out, &state)).map_err(internal)?;
    planner(&mut out, &call).map_err(internal)?;
    commits(&mut out, &call.app.store.commits()).map_err(internal)?;
    http(&mut out, &call.app.http).map_err(internal)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], out).into_response())
}

pub(super) fn family(out: &mut String, name: &str, sort: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {sort}")
}

fn workloads(out: &mut String, snapshot: &Snapshot) -> std::fmt::Result {
    let mut counts = [("waiting", 0), ("running", 0), ("stopping", 0)];
    for workload in snapshot.workloads.values() {
        let at = match &workload.state {
            WorkloadState::Pending(_) => 0,
            WorkloadState::Running(running) if running.stopping => 2,
            WorkloadState::Running(_) => 1,
        };
        counts[at].1 += 1;
    }
    family(out, "weft_workloads", "gauge", "Workloads that wait or hold capacity.")?;
    counts
        .iter()
        .try_for_each(|(state, count)| writeln!(out, "weft_workloads{{state=\"{state}\"}} {count}"))
}

fn queues(out: &mut String, used: &BTreeMap<QueueName, QueueUse>) -> std::fmt::Result {
    family(out, "weft_queue_gpu_milli", "gauge", "Devices used, in thousandths.")?;
    for (queue, used) in used {
        writeln!(
            out,
            "weft_queue_gpu_milli{{queue=\"{}\"}} {}",
            label(queue.as_str()),
            used.gpu.0
        )?;
    }
    family(out, "weft_queue_cpu_milli", "gauge", "Processor used, in thousandths of a core.")?;
    for (queue, used) in used {
        writeln!(
            out,
            "weft_queue_cpu_milli{{queue=\"{}\"}} {}",
            label(queue.as_str()),
            used.cpu.0
        )?;
    }
    family(out, "weft_queue_memory_bytes", "gauge", "Memory used.")?;
    for (queue, used) in used {
        let queue = label(queue.as_str());
        writeln!(out, "weft_queue_memory_bytes{{queue=\"{queue}\"}} {}", used.memory.0)?;
    }
    Ok(())
}

fn devices(
    out: &mut String,
    call: &Call,
    snapshot: &Snapshot,
    rows: &[DeviceRow],
) -> std::fmt::Result {
    let live = call.app.control.devices();
    family(out, "weft_device_allocated_milli", "gauge", "Thousandths of a device allocated.")?;
    for device in weft_sched::devices(snapshot) {
        let allocated = 1_000u64.saturating_sub(device.milli.0);
        let row = rows.iter().find(|row| row.id == device.device);
        let class = row.map_or("", |row| row.class.name.as_str());
        let simulated = row.is_some_and(|row| row.simulated);
        writeln!(
            out,
            "weft_device_allocated_milli{{device=\"{}\",class=\"{}\",simulated=\"{simulated}\"}} \
             {allocated}",
            label(&device.device.to_string()),
            label(class)
        )?;
    }
    family(out, "weft_device_active_milli", "gauge", "Thousandths of time with a kernel running.")?;
    for device in &live {
        if let Some((active, source)) = device.active() {
            let id = label(&device.device.to_string());
            writeln!(
                out,
                "weft_device_active_milli{{device=\"{id}\",source=\"{source}\"}} {active}"
            )?;
        }
    }
    family(out, "weft_device_memory_used_bytes", "gauge", "Device memory in use.")?;
    live.iter().try_for_each(|device| {
        let id = label(&device.device.to_string());
        writeln!(out, "weft_device_memory_used_bytes{{device=\"{id}\"}} {}", device.memory_used.0)
    })
}

fn planner(out: &mut String, call: &Call) -> std::fmt::Result {
    let stats = call.app.control.stats();
    family(out, "weft_plans_total", "counter", "Plans made.")?;
    writeln!(out, "weft_plans_total {}", stats.plans)?;
    family(out, "weft_plans_refused_total", "counter", "Plans that broke a rule.")?;
    writeln!(out, "weft_plans_refused_total {}", stats.refused)?;
    family(out, "weft_plan_seconds_total", "counter", "Time spent planning.")?;
    writeln!(out, "weft_plan_seconds_total {}", seconds(stats.plan_time))?;
    family(out, "weft_plan_last_seconds", "gauge", "Time of the last plan.")?;
    writeln!(out, "weft_plan_last_seconds {}", seconds(stats.plan_last))?;
    family(out, "weft_plan_longest_seconds", "gauge", "Time of the longest plan.")?;
    writeln!(out, "weft_plan_longest_seconds {}", seconds(stats.plan_longest))
}

/// What looking for damage has found, and how long ago the dataset was read that waits longest.
fn data(out: &mut String, sets: &[DatasetRow], now: Timestamp) -> std::fmt::Result {
    let name = "weft_data_damaged_objects";
    family(out, name, "gauge", "Objects of datasets that were damaged when they were last read.")?;
    writeln!(out, "{name} {}", sets.iter().map(|set| set.damaged).sum::<u64>())?;
    let name = "weft_data_unread_seconds";
    family(out, name, "gauge", "Since the dataset that waits longest was read for damage.")?;
    let since = |set: &DatasetRow| set.scrubbed_at.0.max(set.is.at.0);
    let waits = sets.iter().map(|set| now.0.saturating_sub(since(set))).max().unwrap_or_default();
    writeln!(out, "{name} {}", seconds(Duration::from_millis(waits)))
}

/// How it stands with the object store in which data lies.
fn data_store(out: &mut String, state: &AwayState) -> std::fmt::Result {
    for (name, help, value) in [
        ("bytes", "Bytes of data that lie in the object store.", state.there_bytes.0),
        ("owed_bytes", "Bytes that are owed to it: on this disk alone.", state.owed_bytes.0),
        ("here_bytes", "Bytes of packs on this disk.", state.here_bytes.0),
        (
            "failing",
            "Whether it does not take or give what it should.",
            state.failing.is_some().into(),
        ),
    ] {
        let name = format!("weft_data_store_{name}");
        family(out, &name, "gauge", help)?;
        writeln!(out, "{name} {value}")?;
    }
    Ok(())
}

fn commits(out: &mut String, commits: &Commits) -> std::fmt::Result {
    let name = "weft_store_commit_seconds";
    family(out, name, "histogram", "Time from a batch of changes to their being on disk.")?;
    for (bound, count) in &commits.buckets {
        let bound = seconds(Duration::from_millis(*bound));
        writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {count}")?;
    }
    writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {}", commits.count)?;
    writeln!(out, "{name}_sum {}", seconds(commits.total))?;
    writeln!(out, "{name}_count {}", commits.count)
}

fn http(out: &mut String, metrics: &HttpMetrics) -> std::fmt::Result {
    // A copy, so that writing it does not hold up requests.
    let routes = metrics.routes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    family(out, "weft_http_requests_total", "counter", "Requests answered.")?;
    for ((path, method), counts) in &routes {
        let answered = counts.classes.iter().enumerate().filter(|(_, count)| **count > 0);
        for (class, count) in answered {
            let route = format!("route=\"{}\",method=\"{method}\"", label(path));
            let class = class + 1;
            writeln!(out, "weft_http_requests_total{{{route},status=\"{class}xx\"}} {count}")?;
        }
    }
    let name = "weft_http_request_seconds";
    family(out, name, "histogram", "Time until the answer began.")?;
    for ((path, method), counts) in &routes {
        let route = format!("route=\"{}\",method=\"{method}\"", label(path));
        let mut sum = 0;
        for (bound, count) in BOUNDS_MS.iter().zip(counts.buckets) {
            sum += count;
            let bound = seconds(Duration::from_millis(*bound));
            writeln!(out, "{name}_bucket{{{route},le=\"{bound}\"}} {sum}")?;
        }
        sum += counts.buckets[BOUNDS_MS.len()];
        writeln!(out, "{name}_bucket{{{route},le=\"+Inf\"}} {sum}")?;
        writeln!(out, "{name}_sum{{{route}}} {}", seconds(counts.total))?;
        writeln!(out, "{name}_count{{{route}}} {sum}")?;
    }
    Ok(())
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// A label's value: backslash, quote and line feed are escaped, as the format asks.
pub(super) fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_break_out() {
        assert_eq!(label("a\"} 1\nb\\"), "a\\\"} 1\\nb\\\\");
    }

    #[test]
    fn the_histogram_is_cumulative() {
        let metrics = HttpMetrics::default();
        for millis in [0, 3, 3, 70, 60_000] {
            metrics.note("GET", "/x", 200, Duration::from_millis(millis));
        }
        metrics.note("GET", "/x", 503, Duration::from_millis(1));
        let mut out = String::new();
        http(&mut out, &metrics).unwrap();
        for line in [
            "weft_http_requests_total{route=\"/x\",method=\"GET\",status=\"2xx\"} 5",
            "weft_http_requests_total{route=\"/x\",method=\"GET\",status=\"5xx\"} 1",
            "weft_http_request_seconds_bucket{route=\"/x\",method=\"GET\",le=\"0.001\"} 2",
            "weft_http_request_seconds_bucket{route=\"/x\",method=\"GET\",le=\"0.005\"} 4",
            "weft_http_request_seconds_bucket{route=\"/x\",method=\"GET\",le=\"0.1\"} 5",
            "weft_http_request_seconds_bucket{route=\"/x\",method=\"GET\",le=\"+Inf\"} 6",
            "weft_http_request_seconds_count{route=\"/x\",method=\"GET\"} 6",
        ] {
            assert!(out.lines().any(|l| l == line), "{line}\n{out}");
        }
    }
}
