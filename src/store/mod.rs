//! What must outlive the process: the last good version of each file.
