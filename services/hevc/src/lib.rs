//! HEVC encoder and decoder sessions over an ffmpeg child process, access units, and rate control.
//!
//! Everything is all-intra and in lockstep: the access unit of plane *i* is returned before plane *i + 1* is
//! taken, and the same on the way back. Two findings make that possible without a filler picture and without
//! waiting for silence on a pipe:
//!
//! - **Containers that carry sizes.** The encoder writes AVI, the decoder reads IVF, so that neither side has
//!   to see the next start code to know where an access unit ends. A raw `hevc` stream costs one frame of lag
//!   on the way in, and a guess on the way out.
//! - **The lag was in the `rawvideo` encoder.** What ffmpeg's command line holds back while decoding is not the
//!   picture (libavcodec puts it out at once) but its copy to the output: `rawvideo` is coded with frame
//!   threads, one picture of delay for each thread beyond the first. `-threads 1` on the *output* side cures it.
//!
//! `-fflags nobuffer`, which most recipes name, drops the first frame and is not used. libavcodec conceals a
//! damaged slice even with `-err_detect explode -xerror`; so an access unit carries its own check sum, see
//! [`AccessUnit`].
//!
//! Nothing here knows of networks, feature maps or NATS.

pub mod access_unit;
mod avi;
pub mod decoder;
pub mod encoder;
pub mod format;
pub mod nal;
pub mod parameter_sets;
pub mod pool;
pub mod process;
pub mod rate;
mod sps;
mod steered;

pub use access_unit::{AccessUnit, BadAccessUnit};
pub use decoder::{DecodeError, Decoder, DecoderOptions, ScaledPlane, undo_gain};
pub use encoder::{Coding, EncodeError, Encoder, EncoderOptions, Preset};
pub use format::{BadFormat, FrameFormat, PixelFormat};
pub use parameter_sets::{BadParameterSets, ParameterDigest, ParameterSets};
pub use pool::DecoderPool;
pub use process::ProcessError;
pub use rate::{OutOfReach, RateControl, Verdict};
pub use steered::Steered;
