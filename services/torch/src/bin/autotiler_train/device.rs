//! Where tensors live.

use anyhow::{Result, bail};
use clap::ValueEnum;
use tch::{Cuda, Device};

/// Choice of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceArg {
    Cpu,
    /// The first CUDA device.
    Cuda,
}

impl DeviceArg {
    /// The device, if it is there.
    pub(crate) fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda if Cuda::is_available() => Ok(Device::Cuda(0)),
            Self::Cuda => bail!(
                "--device cuda: libtorch finds no CUDA device; this one may be built for the CPU alone, or the \
                 driver is missing. Use --device cpu"
            ),
        }
    }
}
