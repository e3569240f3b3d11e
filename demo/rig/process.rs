//! A child process that does not outlive its handle.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// A running child; killed and reaped when dropped, so also on errors and panics.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with all it prints going to the file `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        if !cfg!(test) {
            // Ctrl-C goes to a terminal's whole process group. The demo wants to stop its load before its proxies;
            // a test must stay in one group, which the test runner kills when the test hangs.
            command.process_group(0);
        }
        let child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self { child, log: log.to_path_buf() })
    }

    /// Its id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    pub(crate) fn printed(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned())
    }

    /// The last twenty lines of that.
    pub(crate) fn last_lines(&self) -> Result<String> {
        let printed = self.printed()?;
        let skip = printed.lines().count().saturating_sub(20);
        Ok(printed.lines().skip(skip).fold(String::new(), |text, line| text + line + "\n"))
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until it ends by itself.
    #[cfg_attr(not(test), expect(dead_code, reason = "the demo ends what it started"))]
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// An error, with what it printed last, when it has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("ended with {status}, {}:\n{}", self.log.display(), self.last_lines()?);
        }
        Ok(())
    }

    /// Ends it as `kill -9` does, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when it has ended by itself, which is as good.
        let _ = self.kill();
    }
}
