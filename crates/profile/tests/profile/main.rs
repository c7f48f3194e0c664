//! The file format from outside: what is written is read back exactly, other tools read it too, and nothing that is
//! read does harm.

mod foreign;
mod go_pprof;
mod hostile;
mod random;
mod round_trip;
mod saving;
mod wire;
