"""The INT8 models of latency_int8.py: fewbit's own and each peer's, made once and kept in the work directory. A variant that cannot be
made is kept as its reason."""
import json
import subprocess
import sys

import numpy as np

import common

NAMES = ("resnet50", "mobilenetv2", "bert_base", "yolov5s", "yolox_nano", "efficientnet_lite0", "minilm")
TOKENS = ("bert_base", "minilm")
FOLDER = common.WORK / "int8"
SAMPLES = 16


def calibration(name):
    """Samples as arrays named as the inputs: real data where the model was trained, seeded noise for the models with random weights."""
    path = FOLDER / name / "calibration.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in ("yolox_nano", "efficientnet_lite0"):
            subprocess.run([sys.executable, common.ROOT / "bench/data.py", name, path], check=True, stdout=subprocess.DEVNULL)
            arrays = {key: value[:SAMPLES] for key, value in np.load(path).items() if key in common.feeds_for(name)}
        else:
            rng, arrays = np.random.default_rng(1), {}
            for key, value in common.feeds_for(name).items():
                shape = (SAMPLES, *value.shape[1:])
                arrays[key] = (rng.integers(1000, 30000, shape) if key == "input_ids" else np.ones(shape, np.int64)) if name in TOKENS \
                    else rng.standard_normal(shape).astype(np.float32)
        np.savez(path, **arrays)
    return path, dict(np.load(path))


def rows(samples):
    """One feed a sample, batch 1."""
    count = len(next(iter(samples.values())))
    return [{key: value[k:k + 1] for key, value in samples.items()} for k in range(count)]


def fixed_model(name):
    """The float model at opset 13 or newer (per-channel DequantizeLinear needs it) with the shapes of the measurement: the peers at their best."""
    import onnx
    from onnx import version_converter
    path = FOLDER / name / "fixed.onnx"
    if not path.exists():
        model = onnx.load(common.model_path(name))
        if next(o.version for o in model.opset_import if not o.domain) < 13:
            model = version_converter.convert_version(model, 13)
        feeds = common.feeds_for(name)
        for value in model.graph.input:
            for dim, size in zip(value.type.tensor_type.shape.dim, feeds[value.name].shape):
                dim.dim_value = size
        del model.graph.value_info[:]                  # old symbolic shapes contradict the fixed ones
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


def make_ort_qdq(name, out):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self): self.feeds = iter(rows(calibration(name)[1]))
        def get_next(self): return next(self.feeds, None)

    prepared, note = FOLDER / name / "ort_prepared.onnx", ""
    try:
        quant_pre_process(str(fixed_model(name)), str(prepared))
    except Exception as error:                         # its symbolic inference is optional; without it the peer still gets its optimizer
        note = f"pre-processing without symbolic shapes: {first_line(error)}"
        quant_pre_process(str(fixed_model(name)), str(prepared), skip_symbolic_shape=True)
    quantize_static(str(prepared), str(out), Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8)
    prepared.unlink()
    common.ort_session(out).run(None, common.feeds_for(name))
    return note


def make_ort_dynamic(name, out):
    from onnxruntime.quantization import QuantType, quantize_dynamic
    quantize_dynamic(str(fixed_model(name)), str(out), weight_type=QuantType.QInt8)
    common.ort_session(out).run(None, common.feeds_for(name))
    return ""


def make_nncf(name, out):
    import nncf
    import openvino as ov
    model = ov.Core().read_model(str(fixed_model(name)))
    data = nncf.Dataset(rows(calibration(name)[1]))
    kind = nncf.ModelType.TRANSFORMER if name in TOKENS else None
    ov.save_model(nncf.quantize(model, data, subset_size=SAMPLES, model_type=kind), str(out), compress_to_fp16=False)
    openvino_model(out, 1).infer_new_request(common.feeds_for(name))
    return ""


def make_openvino_on_ort(name, out):
    source = FOLDER / name / "ort_qdq.onnx"
    if not source.exists():
        raise RuntimeError("ONNX Runtime's static model does not exist")
    openvino_model(source, 1).infer_new_request(common.feeds_for(name))
    out.symlink_to(source.name)
    return ""


def fewbit_quantize(name, out, preset, *options):
    data = ["--calibration", calibration(name)[0]] if preset == "int8-static" else []
    common.fewbit("quantize", common.model_path(name), "-o", out, "--force", "--preset", preset, *data, *options)
    return ""


def make_fewbit_static(name, out):
    return fewbit_quantize(name, out, "int8-static")


def make_fewbit_dynamic(name, out):
    if name not in TOKENS:
        raise RuntimeError("made for BERT and MiniLM only")
    return fewbit_quantize(name, out, "int8-dynamic")


def make_fewbit_seven(name, out):
    """7-bit weights: no sum of two products leaves 16 bits, whatever the weights."""
    return fewbit_quantize(name, out, "int8-dynamic" if name in TOKENS else "int8-static", "--set", "weights=s7")


VARIANTS = {                                           # key: (file, maker); the order in which they are made
    "ort_qdq": ("ort_qdq.onnx", make_ort_qdq), "ort_dynamic": ("ort_dynamic.onnx", make_ort_dynamic), "ov_nncf": ("nncf.xml", make_nncf),
    "ov_ort_qdq": ("ort_qdq.openvino.onnx", make_openvino_on_ort), "fewbit_static": ("fewbit_static.onnx", make_fewbit_static),
    "fewbit_dynamic": ("fewbit_dynamic.onnx", make_fewbit_dynamic), "fewbit_seven": ("fewbit_seven.onnx", make_fewbit_seven),
}


def openvino_model(path, threads, precision="f32"):
    import openvino as ov
    core = ov.Core()
    return core.compile_model(core.read_model(str(path)), "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads,
                                                                  "INFERENCE_PRECISION_HINT": precision})


def first_line(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:140]


def prepare(name, refresh=()):
    """{variant: {"file": path or None, "note": text}}; made once, and again for the variants in `refresh`."""
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    status_path = folder / "status.json"
    status = json.loads(status_path.read_text()) if status_path.exists() else {}
    for key, (file, make) in VARIANTS.items():
        out = folder / file
        if key in status and key not in refresh and (status[key]["file"] is None or out.exists()):
            continue
        out.unlink(missing_ok=True)
        try:
            note = make(name, out)
            status[key] = {"file": file, "note": note}
        except (Exception, SystemExit) as error:       # a peer that cannot is a row that says so
            out.unlink(missing_ok=True)
            status[key] = {"file": None, "note": first_line(error)}
        print(f"  {name}: {key}: {'made' if status[key]['file'] else 'failed'} {status[key]['note']}", file=sys.stderr, flush=True)
        status_path.write_text(json.dumps(status, indent=1))
    return {key: {"file": folder / value["file"] if value["file"] else None, "note": value["note"]} for key, value in status.items()}
