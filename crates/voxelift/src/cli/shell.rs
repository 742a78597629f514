//! `voxelift completions` and `voxelift man`: what a shell and a manual need to know of the command line.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;
use voxelift_volume::files::write_atomically;

use crate::failure::Outcome;
use crate::terminal;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  voxelift completions bash > ~/.local/share/bash-completion/completions/voxelift\n  \
                  voxelift completions zsh > \"${fpath[1]}/_voxelift\"\n  \
                  voxelift completions fish > ~/.config/fish/completions/voxelift.fish"
)]
pub struct CompletionsArguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// # Errors
/// When stdout cannot be written.
pub fn completions(arguments: &CompletionsArguments) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::command(), "voxelift", &mut script);
    terminal::print(String::from_utf8(script)?)?;
    Ok(Outcome::Done)
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  voxelift man ~/.local/share/man/man1 && man voxelift-upscale")]
pub struct ManArguments {
    /// The folder to write to: voxelift.1, and voxelift-COMMAND.1 for each command
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Overwrite existing pages
    #[arg(long)]
    force: bool,
}

/// # Errors
/// When a page cannot be written, or exists already without `--force`.
pub fn man(arguments: &ManArguments) -> anyhow::Result<Outcome> {
    std::fs::create_dir_all(&arguments.folder)
        .map_err(|error| voxelift_volume::VolumeError::io(&arguments.folder, "create the folder", error))?;
    let mut command = super::command().flatten_help(false).disable_help_subcommand(true);
    command.build();
    let subcommands = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let pages = subcommands
        .map(|sub| {
            (
                sub.get_display_name().unwrap_or(sub.get_name()).to_owned(),
                sub.clone(),
            )
        })
        .chain([("voxelift".to_owned(), command.clone())]);
    let mut count = 0;
    for (name, page) in pages {
        let mut text = Vec::new();
        // The short version: a page is not made anew for each commit.
        let page = page.version(env!("CARGO_PKG_VERSION"));
        clap_mangen::Man::new(page)
            .title(name.clone())
            .render(&mut text)?;
        let path = arguments.folder.join(format!("{name}.1"));
        write_atomically(&path, arguments.force, |out| out.write_all(&text))?;
        count += 1;
    }
    terminal::print(format!(
        "{}: {}\n",
        arguments.folder.display(),
        voxelift_volume::words::counted(count, "page")
    ))?;
    Ok(Outcome::Done)
}
