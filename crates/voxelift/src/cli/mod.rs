//! Layer 14 · The command line: one file a command, each from raw arguments to an outcome.

mod batch;
mod bids;
mod card;
mod degrade;
mod demo;
mod doctor;
mod evaluate;
mod export;
mod files;
mod info;
mod init;
mod options;
mod report;
mod shell;
mod stop;
mod study;
mod train;
mod upscale;
mod version;
mod view;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use signal_hook::consts::SIGABRT;

use voxelift_model::memory;

use crate::failure::{Outcome, exit_code, message, usage};
use crate::terminal::{self, Terminal};

/// Unpaired MRI super-resolution: train on your own scans, apply to NIfTI files, measure honestly.
#[derive(Debug, Parser)]
#[command(
    name = "voxelift",
    version,
    long_version = version::long(),
    max_term_width = 110,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 done · 1 failed on data, files or the run · 2 arguments or configuration refused · \
                        3 done in part · 4 interrupted and resumable"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Less output: results, warnings and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// More output
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Compute on this many threads; results do not depend on it [default: all]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the built-in model on a real scan, then train one on synthetic heads: prepare, train, super-resolve, score, show
    Demo(demo::DemoArguments),
    /// Show geometry, type and intensities of files, or the card of a model
    Info(info::InfoArguments),
    /// Simulate a low-resolution acquisition of a scan
    Degrade(degrade::DegradeArguments),
    /// Look at your scans and write a configuration that trains on them
    Init(init::InitArguments),
    /// Train on unpaired scans, or go on where a run stopped
    Train(train::TrainArguments),
    /// Bring scans to a higher resolution
    Upscale(Box<upscale::UpscaleArguments>),
    /// Make the anatomical scans of a BIDS data set finer, into a derivative data set
    Bids(bids::BidsArguments),
    /// Find what is wrong with scans' files, and mend their headers
    Doctor(doctor::DoctorArguments),
    /// Score an image against its reference
    Evaluate(evaluate::EvaluateArguments),
    /// Train a grid of runs (variants x seeds), test each, and make one table
    Study(study::StudyArguments),
    /// Write one self-contained page from a run, an evaluation or a study
    Report(report::ReportArguments),
    /// Write a model for other programs: ONNX, PyTorch
    Export(export::ExportArguments),
    /// Look at scans, outputs and maps side by side in a browser, from this machine alone
    View(view::ViewArguments),
    /// Print a script that completes voxelift's commands and options in a shell
    Completions(shell::CompletionsArguments),
    /// Write the manual pages
    Man(shell::ManArguments),
}

/// The command line, as documents and shells are made from it.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Reads the arguments, runs the command, and says how it ended.
pub fn main() -> ExitCode {
    end_with_a_message();
    let parsed = with_negative_numbers(command()).try_get_matches();
    let arguments = match parsed.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(answer) => return without_command(&answer),
    };
    match std::panic::catch_unwind(|| run(arguments)) {
        Ok(Ok(outcome)) => outcome.into(),
        Ok(Err(error)) => {
            terminal::error(message(&error));
            exit_code(&error)
        }
        // The hook has said why.
        Err(_) => ExitCode::FAILURE,
    }
}

/// A negative number behind an option is its value, and refused as such.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let negative = |argument: clap::Arg| {
        if argument.is_positional() || !argument.get_action().takes_values() {
            argument
        } else {
            argument.allow_negative_numbers(true)
        }
    };
    command
        .mut_args(negative)
        .mut_subcommands(|command| command.mut_args(negative))
}

/// Memory that cannot be had, and a fault of the program, end in a message and exit code 1, not in a signal or a trace.
fn end_with_a_message() {
    // The standard library says how many bytes it could not get, and aborts.
    let always = Arc::new(AtomicBool::new(true));
    let _ = signal_hook::flag::register_conditional_shutdown(SIGABRT, 1, always);
    std::panic::set_hook(Box::new(|panic| {
        let said = panic.payload();
        let said = said
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(said.downcast_ref::<&str>().copied());
        let place = panic.location().map_or_else(String::new, |place| {
            format!(" at {}:{}", place.file(), place.line())
        });
        terminal::error(format!(
            "stopped{place}: {}; too little memory or too few threads for this, or a fault of the program that its makers want to hear of",
            said.unwrap_or("no reason given")
        ));
    }));
}

fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    // 0 for as many as there are.
    let threads = usize::from(arguments.threads.unwrap_or(0));
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
    if let Err(error) = pool {
        return Err(match arguments.threads {
            Some(threads) => usage(format!("--threads {threads}: {error}")),
            None => anyhow::anyhow!(
                "cannot start the threads to compute on: {error}; give fewer with --threads N"
            ),
        });
    }
    let terminal = Terminal::new(arguments.quiet, arguments.verbose);
    if let Some(limit) = memory::address_limit().filter(|limit| *limit < ROOMY) {
        terminal.warn(format!(
            "`ulimit -v` lets the program take {} MiB; where that is too little for the work, it stops with a word about memory",
            limit >> 20
        ));
    }
    stop::take_back_on_request();
    execute(arguments.command, &terminal)
}

/// With this much no command stops for want of memory before it looked at its files.
const ROOMY: u64 = 512 << 20;

fn execute(command: Command, terminal: &Terminal) -> anyhow::Result<Outcome> {
    match command {
        Command::Demo(arguments) => demo::run(&arguments, terminal),
        Command::Info(arguments) => info::run(&arguments),
        Command::Degrade(arguments) => degrade::run(&arguments, terminal),
        Command::Init(arguments) => init::run(&arguments, terminal),
        Command::Train(arguments) => train::run(&arguments, terminal),
        Command::Upscale(arguments) => upscale::run(&arguments, terminal),
        Command::Bids(arguments) => bids::run(&arguments, terminal),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments, terminal),
        Command::Study(arguments) => study::run(&arguments, terminal),
        Command::Report(arguments) => report::run(&arguments, terminal),
        Command::Export(arguments) => export::run(&arguments),
        Command::View(arguments) => view::run(&arguments, terminal),
        Command::Completions(arguments) => shell::completions(&arguments),
        Command::Man(arguments) => shell::man(&arguments),
    }
}

/// Help and version go to stdout; what clap refuses is said in one line.
fn without_command(answer: &clap::Error) -> ExitCode {
    match answer.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = answer.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = answer.print();
            ExitCode::from(2)
        }
        _ => {
            let text = answer.render().to_string();
            let said = text.split("\n\nUsage:").next().unwrap_or(&text);
            let said = said.split("\n\nFor more information").next().unwrap_or(said);
            // How to give such a name as a value helps nobody who mistyped an option.
            let said = said.split("\n\n  tip: to pass ").next().unwrap_or(said);
            terminal::error(format!(
                "{}; see `voxelift --help`",
                said.trim_start_matches("error: ").replace("\n\n  tip: ", "; ")
            ));
            ExitCode::from(2)
        }
    }
}
