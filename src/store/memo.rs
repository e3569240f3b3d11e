//! What is remembered of proxies, each in a document of its own beside the files in force.
//!
//! What they rejected and have not been forgiven, so that a restart does not send it to them again: Envoy acknowledges
//! an identical resource the second time, and traffic would follow. And which there are, so that a restart waits for
//! them before it takes a step for done.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::replace::{Previous, replace};
use super::seal::{Unopened, seal, unseal};
use super::{Damage, Flaw, StateDir, StoreError};

const REJECTIONS: &str = "rejections.json";
const NODES: &str = "nodes.json";
const SCHEMA: u32 = 1;

/// One such document; it has one writer.
#[derive(Debug)]
pub struct Memo {
    file: PathBuf,
}

impl StateDir {
    /// What proxies rejected.
    #[must_use]
    pub fn rejections(&self) -> Memo {
        Memo { file: self.path().join(REJECTIONS) }
    }

    /// Which proxies there are.
    #[must_use]
    pub fn nodes(&self) -> Memo {
        Memo { file: self.path().join(NODES) }
    }
}

impl Memo {
    /// What was last saved; `null` if nothing was, or, with the damage, if it cannot be read any more.
    pub fn load(&self) -> Result<(Value, Option<Damage>), StoreError> {
        let document = match fs::read(&self.file) {
            Ok(document) => document,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Value::Null, None)),
            Err(error) => return Err(self.io("read")(error)),
        };
        let damage = |flaw| Some(Damage { file: self.file.clone(), flaw });
        match unseal::<Value>(SCHEMA, &document) {
            Ok(body) => Ok((body, None)),
            Err(Unopened::Flaw(flaw)) => Ok((Value::Null, damage(flaw))),
            // They are rebuilt by the proxies' next answers; a newer form is no reason not to start.
            Err(Unopened::Newer(schema)) => Ok((Value::Null, damage(Flaw::Schema(schema)))),
        }
    }

    /// Remembers `memo`, on disk when this returns.
    pub fn save(&self, memo: &Value) -> Result<(), StoreError> {
        let document = seal(SCHEMA, memo).map_err(io::Error::from).map_err(self.io("encode"))?;
        replace(&self.file, &document, Previous::Drop).map_err(self.io("write"))
    }

    fn io(&self, action: &'static str) -> impl FnOnce(io::Error) -> StoreError {
        let file: &Path = &self.file;
        StoreError::io(action, file)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_saved_is_loaded_and_damage_is_told() {
        let dir = tempfile::tempdir().expect("dir");
        let rejections = StateDir::open(dir.path()).expect("open").rejections();
        assert_eq!(rejections.load().expect("load"), (Value::Null, None));
        let body = json!({"edge-1": [{"ty": "Cluster"}]});
        rejections.save(&body).expect("save");
        assert_eq!(rejections.load().expect("load"), (body, None));
        fs::write(&rejections.file, "{").expect("write");
        let (body, damage) = rejections.load().expect("load");
        assert!(body.is_null() && damage.is_some());
    }
}
