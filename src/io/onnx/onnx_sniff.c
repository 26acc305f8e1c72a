/* What a file that is not ONNX seems to be, by its first bytes. */
#include <string.h>

#include "io/onnx/onnx.h"

typedef struct Signature {
    size_t offset;
    const char *bytes;
    size_t count;
    const char *advice;
} Signature;

static const Signature signatures[] = {
    {0, "GGUF", 4, "it is a GGUF file"},
    {0, "PK\003\004", 4, "it is a zip archive (a PyTorch checkpoint or an .npz?); a PyTorch model is exported with torch.onnx.export"},
    {0, "\x80\x02", 2, "it is a Python pickle, which is never read; load it in Python and export it with torch.onnx.export"},
    {0, "\x80\x03", 2, "it is a Python pickle, which is never read; load it in Python and export it with torch.onnx.export"},
    {0, "\x80\x04", 2, "it is a Python pickle, which is never read; load it in Python and export it with torch.onnx.export"},
    {0, "\x80\x05", 2, "it is a Python pickle, which is never read; load it in Python and export it with torch.onnx.export"},
    {4, "TFL3", 4, "it is a TensorFlow Lite file; convert it with: python -m tf2onnx.convert --tflite FILE --output model.onnx"},
    {0, "\x89HDF\r\n", 6, "it is an HDF5 file (Keras?); convert it with: python -m tf2onnx.convert --keras FILE --output model.onnx"},
    {0, "version https://git-lfs", 23, "it is a Git LFS pointer, not the file itself; run: git lfs pull"},
    {0, "\x89PNG", 4, "it is a PNG picture"},
    {0, "\xff\xd8\xff", 3, "it is a JPEG picture"},
    {0, "\x93NUMPY", 6, "it is a NumPy array"},
    {0, "ptrt", 4, "it is a TensorRT engine, which cannot be read back; use the ONNX file it was built from"},
    {0, "ftrt", 4, "it is a TensorRT engine, which cannot be read back; use the ONNX file it was built from"},
    {0, "ORTM", 4, "it is an ORT-format model; use the ONNX file it was made from"},
    {4, "ORTM", 4, "it is an ORT-format model; use the ONNX file it was made from"},
    {0, "7767517", 7, "it is an ncnn parameter file"},
    {0, "<!DOCTYPE", 9, "it is an HTML page (a failed download?)"},
    {0, "<html", 5, "it is an HTML page (a failed download?)"},
    {0, "<?xml", 5, "it is an XML file (OpenVINO IR?); use the ONNX file it was made from"},
    {8, "{\"", 2, "it is a safetensors file"},
    {0, "{", 1, "it is a JSON text"},
    {0, "\x1f\x8b", 2, "it is compressed with gzip; unpack it first"},
    {0, "\x7f" "ELF", 4, "it is a program or library"},
};

const char *fb_onnx_sniff(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        const Signature *s = &signatures[i];
        if (count >= s->offset + s->count && memcmp(bytes + s->offset, s->bytes, s->count) == 0) {
            return s->advice;
        }
    }
    return NULL;
}
