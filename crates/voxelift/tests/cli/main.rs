//! The program as its users see it: arguments in; files, words and exit codes out.

mod commands;
mod refusals;
mod support;
mod training;
