//! Accelerator inventory and telemetry: NVML and a simulated driver.
