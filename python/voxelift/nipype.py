"""The program ``voxelift upscale`` as a Nipype interface.

>>> from nipype.pipeline.engine import Node
>>> from voxelift.nipype import Upscale
>>> finer = Node(Upscale(spacing=1.0), name="finer")  # doctest: +SKIP

It runs the program, which must be on the PATH; nothing of the package's own engine is used. Needs Nipype.
"""

import os

from nipype.interfaces.base import CommandLine, CommandLineInputSpec, File, TraitedSpec, traits

__all__ = ["Upscale"]


class _UpscaleInputs(CommandLineInputSpec):
    in_file = File(exists=True, mandatory=True, position=0, argstr="%s", desc="the scan: NIfTI or MGH")
    out_file = File(
        position=1,
        argstr="-o %s",
        name_source="in_file",
        name_template="%s_sr.nii.gz",
        keep_extension=False,
        desc="where the finer scan is written; IN_sr.nii.gz where it is not given",
    )
    method = traits.Str(argstr="--method %s", desc="model, self or a baseline; what does best where it is not given")
    model = File(exists=True, argstr="--model %s", desc="a model that `voxelift train` exported")
    acquired = traits.Str(argstr="--acquired %s", desc="what made the scan, as --acquired")
    spacing = traits.Either(
        traits.Float, traits.List(traits.Float, minlen=3, maxlen=3), argstr="--spacing %s", desc="voxel size of the output in mm"
    )
    scale = traits.Either(
        traits.Int, traits.List(traits.Int, minlen=3, maxlen=3), argstr="--scale %s", desc="factor, or one along each axis"
    )
    consistency = traits.Enum("soft", "hard", "off", argstr="--consistency %s", desc="how the measurement is put back")
    threads = traits.Int(argstr="--threads %d", desc="how many threads compute")
    force = traits.Bool(argstr="--force", desc="replace an output that is there")


class _UpscaleOutputs(TraitedSpec):
    out_file = File(exists=True, desc="the finer scan")
    sidecar = File(desc="how it was made, as JSON, where the program writes that: not for a single scan and a baseline")


class Upscale(CommandLine):
    """A scan on a finer grid, by the method that is named or does best on the scan itself."""

    _cmd = "voxelift upscale"
    input_spec = _UpscaleInputs
    output_spec = _UpscaleOutputs

    def _format_arg(self, name, spec, value):
        if isinstance(value, (list, tuple)):
            value = ",".join(f"{number:g}" for number in value)
            return spec.argstr % value
        return super()._format_arg(name, spec, value)

    def _list_outputs(self):
        outputs = super()._list_outputs()
        image = outputs["out_file"]
        stem = image.removesuffix(".gz").removesuffix(".nii")
        sidecar = f"{stem}.json"
        if os.path.exists(sidecar):
            outputs["sidecar"] = sidecar
        return outputs
