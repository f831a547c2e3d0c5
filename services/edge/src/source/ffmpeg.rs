//! Video files and cameras, read by an ffmpeg child as raw pictures.

use std::{
    io::{self, BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use autotiler_scene::Picture;
use autotiler_transport::backoff::Backoff;

use super::{Source, SourceError, SourceOptions, SourcePicture, Unreadable};

/// Starts in a row without a picture after which a file is given up. A camera never is.
const TRIES: usize = 3;

/// What ffmpeg reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    File(PathBuf),
    Rtsp(String),
    V4l2(PathBuf),
}

/// An ffmpeg child that is started again when it dies in mid-stream.
pub(super) struct FfmpegSource {
    input: Input,
    options: SourceOptions,
    child: Shared,
    output: Option<Reader>,
    /// Pictures taken in this pass over a file: what a new child has to pass over.
    taken: u64,
    /// Starts without a picture since the last one.
    tries: usize,
}

/// The child, where the stopper finds it.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Running>>);

#[derive(Default)]
struct Running {
    child: Option<Child>,
    stopped: bool,
}

struct Reader {
    stdout: ChildStdout,
    stderr: JoinHandle<String>,
}

impl FfmpegSource {
    /// Starts ffmpeg.
    pub(super) fn open(input: Input, options: &SourceOptions) -> Result<Self, SourceError> {
        let mut source = Self {
            input,
            options: options.clone(),
            child: Shared::default(),
            output: None,
            taken: 0,
            tries: 0,
        };
        source.start()?;
        Ok(source)
    }

    fn start(&mut self) -> Result<(), SourceError> {
        let failed = |source| SourceError::Spawn { ffmpeg: self.options.ffmpeg.clone(), source };
        let mut running = self.child.locked();
        if running.stopped {
            return Ok(());
        }
        let mut child = Command::new(&self.options.ffmpeg)
            .args(self.input.arguments(self.options.size))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C goes to the whole foreground group; the source is ended by us.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let pipes = (child.stdout.take(), child.stderr.take());
        running.child = Some(child);
        let (Some(stdout), Some(stderr)) = pipes else {
            return Err(failed(io::Error::other("a pipe is missing")));
        };
        // Read all along, or a talkative ffmpeg would block on a full pipe; its last line is kept.
        let stderr = std::thread::Builder::new()
            .name("source-stderr".to_owned())
            .spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).last().unwrap_or_default())
            .map_err(failed)?;
        drop(running);
        self.output = Some(Reader { stdout, stderr });
        Ok(())
    }

    /// Reads one picture; `None` when the child has no more.
    fn read(&mut self) -> Option<Picture> {
        let (width, height) = self.options.size;
        let mut rgb = vec![0; width * height * 3];
        self.output.as_mut()?.stdout.read_exact(&mut rgb).ok()?;
        Some(Picture { width, height, rgb })
    }

    /// The child has no more: its last words, or `None` when it came to a good end.
    fn fault(&mut self) -> Option<String> {
        let reader = self.output.take();
        let child = self.child.locked().child.take();
        let status = child.and_then(|mut child| {
            // Fails only for a child that is gone already.
            let _ = child.kill_if_running();
            child.wait().ok()
        });
        let stderr = reader.and_then(|reader| reader.stderr.join().ok()).unwrap_or_default();
        if status.is_some_and(|status| status.success()) { None } else { Some(stderr) }
    }

    fn stopped(&self) -> bool {
        self.child.locked().stopped
    }

    /// A new child, at the place where the old one was.
    fn restart(&mut self, stderr: String) -> Result<(), SourceError> {
        self.tries += 1;
        if self.tries > TRIES && !self.input.is_camera() {
            return Err(SourceError::NoPicture { input: self.input.to_string(), stderr });
        }
        tracing::warn!(input = %self.input, stderr, tries = self.tries, "source ended; starting it again");
        std::thread::sleep(Backoff::default().delay(self.tries));
        self.start()?;
        if !self.input.is_camera() {
            for _ in 0..self.taken {
                if self.read().is_none() {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Source for FfmpegSource {
    fn next(&mut self) -> Result<Option<Result<SourcePicture, Unreadable>>, SourceError> {
        loop {
            if self.stopped() {
                return Ok(None);
            }
            if let Some(picture) = self.read() {
                self.taken += 1;
                self.tries = 0;
                return Ok(Some(Ok(SourcePicture { name: None, picture })));
            }
            let fault = self.fault();
            if self.stopped() {
                return Ok(None);
            }
            match fault {
                // A file without a picture would be read in circles.
                None if !self.input.is_camera() && (!self.options.repeat || self.taken == 0) => {
                    return Ok(None);
                }
                None if !self.input.is_camera() => {
                    self.taken = 0;
                    self.start()?;
                }
                fault => self.restart(fault.unwrap_or_default())?,
            }
        }
    }

    fn stopper(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        let child = self.child.clone();
        Some(Arc::new(move || child.stop()))
    }
}

impl Drop for FfmpegSource {
    fn drop(&mut self) {
        self.child.stop();
        self.fault();
    }
}

impl Shared {
    fn locked(&self) -> MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the child, so that whoever reads from it sees its end; no other is started.
    fn stop(&self) {
        let mut running = self.locked();
        running.stopped = true;
        if let Some(child) = &mut running.child {
            // Fails only for a child that is gone already.
            let _ = child.kill();
        }
    }
}

/// Ends a child whose output is closed, whether or not it has left by itself.
trait KillIfRunning {
    fn kill_if_running(&mut self) -> io::Result<()>;
}

impl KillIfRunning for Child {
    fn kill_if_running(&mut self) -> io::Result<()> {
        // Its output has ended: it is leaving, and its own exit status is worth a moment.
        for _ in 0..50 {
            if self.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        self.kill()
    }
}

impl Input {
    fn is_camera(&self) -> bool {
        !matches!(self, Self::File(_))
    }

    fn arguments(&self, (width, height): (usize, usize)) -> Vec<String> {
        let own = match self {
            Self::File(file) => vec!["-i".to_owned(), file_url(file)],
            Self::Rtsp(url) => {
                let low_delay =
                    ["-rtsp_transport", "tcp", "-fflags", "nobuffer", "-flags", "low_delay", "-i"];
                low_delay.iter().map(|&word| word.to_owned()).chain([url.clone()]).collect()
            }
            Self::V4l2(device) => {
                vec!["-f".to_owned(), "v4l2".to_owned(), "-i".to_owned(), device.display().to_string()]
            }
        };
        let scale = format!("scale={width}:{height}:flags=bilinear");
        // `-threads 1` on the output side: the raw video encoder would hold frames back otherwise.
        let before = ["-hide_banner", "-nostdin", "-nostats", "-loglevel", "error", "-threads", "1"];
        let after =
            ["-an", "-sn", "-vf", &scale, "-pix_fmt", "rgb24", "-threads", "1", "-f", "rawvideo", "pipe:1"];
        let texts = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        [texts(&before), own, texts(&after)].concat()
    }
}

/// A file name that ffmpeg takes for nothing else, like an option or a protocol.
fn file_url(file: &std::path::Path) -> String {
    format!("file:{}", file.display())
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) | Self::V4l2(path) => path.display().fmt(f),
            // Addresses of cameras hold passwords.
            Self::Rtsp(url) => f.write_str(url.rsplit_once('@').map_or(url, |(_, host)| host)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: usize = 12;

    fn clip(dir: &std::path::Path) -> PathBuf {
        let path = dir.join("clip.mp4");
        let made = Command::new("ffmpeg")
            .args(["-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=64x48:rate=10"])
            .args(["-frames:v", &FRAMES.to_string(), "-c:v", "libx264"])
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        path
    }

    fn open(input: Input, repeat: bool) -> FfmpegSource {
        let options = SourceOptions { size: (32, 24), ffmpeg: "ffmpeg".into(), repeat };
        FfmpegSource::open(input, &options).unwrap()
    }

    fn next(source: &mut FfmpegSource) -> Option<Picture> {
        source.next().unwrap().map(|picture| picture.unwrap().picture)
    }

    #[test]
    fn a_file_gives_all_its_pictures_scaled_and_ends() {
        let dir = tempfile::tempdir().unwrap();
        let mut source = open(Input::File(clip(dir.path())), false);
        let pictures: Vec<_> = std::iter::from_fn(|| next(&mut source)).collect();
        assert_eq!(pictures.len(), FRAMES);
        assert!(pictures.iter().all(|p| p.rgb.len() == 32 * 24 * 3));
        assert_ne!(pictures[0], pictures[FRAMES - 1]);
    }

    #[test]
    fn a_killed_child_is_replaced_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let clip = clip(dir.path());
        let mut whole = open(Input::File(clip.clone()), false);
        let expected: Vec<_> = std::iter::from_fn(|| next(&mut whole)).collect();
        let mut source = open(Input::File(clip), false);
        let mut got: Vec<_> = (0..5).map(|_| next(&mut source).unwrap()).collect();
        // A whole clip fits into the pipe, so a kill alone may come after its good end.
        source.fault();
        source.restart("killed".to_owned()).unwrap();
        got.extend(std::iter::from_fn(|| next(&mut source)));
        assert_eq!(got, expected);
    }

    #[test]
    fn a_repeated_file_goes_on_and_a_stopped_one_ends() {
        let dir = tempfile::tempdir().unwrap();
        let mut source = open(Input::File(clip(dir.path())), true);
        assert!((0..2 * FRAMES + 3).all(|_| next(&mut source).is_some()));
        source.stopper().unwrap()();
        // What is in the pipe may still come, more does not.
        assert!(std::iter::from_fn(|| next(&mut source)).count() <= FRAMES);
    }

    #[test]
    fn a_file_that_is_no_video_ends_with_ffmpegs_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("no.mp4");
        std::fs::write(&path, b"no video").unwrap();
        let error = open(Input::File(path), true).next().unwrap_err().to_string();
        assert!(error.contains("no.mp4") && error.contains("Invalid data"), "{error}");
    }

    #[test]
    fn passwords_of_cameras_are_not_shown() {
        let input = Input::Rtsp("rtsp://user:secret@camera:554/live".to_owned());
        assert_eq!(input.to_string(), "camera:554/live");
    }
}
