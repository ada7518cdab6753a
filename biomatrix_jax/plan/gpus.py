"""GPUs as XLA's compiler has to be told of them where there is none.

The text form of XLA's `GpuTargetConfigProto`. Cores, clock, cache and bandwidth are those of
NVIDIA's data sheets; threads, registers and shared memory those of the CUDA programming guide for
the compute capability; the memory's size is what the driver reports.
"""

NODE = 8  # GPUs that a switch joins

TARGETS = {
    "h100": """
platform_name: "CUDA"
device_description_str: "NVIDIA H100 80GB HBM3"
dnn_version_info { major: 9 minor: 8 }
gpu_device_info {
  cuda_compute_capability { major: 9 }
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  registers_per_block_limit: 65536
  registers_per_core_limit: 65536
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  l2_cache_size: 52428800
  device_memory_size: 84978434048
  memory_bandwidth: 3352320000000
}
""",
}
