package org.legodnn;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.LinkedHashMap;
import java.util.Map;

import org.legodnn.internal.Text;

/** What is asked of a model and answered: checked, and brought into the order of its store. */
final class Requests {
    private Requests() {}

    /** Check that a model has one input and one output, as requests with arrays do. */
    static void checkSingle(String model, StoreManifest manifest) {
        if (manifest.inputs.size() != 1 || manifest.outputs.size() != 1) {
            throw new InputException("'" + model + "' has " + manifest.inputs.size() + " inputs and "
                    + manifest.outputs.size() + " outputs; give and take buffers by name");
        }
    }

    /** The inputs of a request, in the store's order. */
    static FloatBuffer[] inputs(String model, StoreManifest manifest, Map<String, ByteBuffer> given) {
        FloatBuffer[] in = new FloatBuffer[manifest.inputs.size()];
        for (int i = 0; i < in.length; i++) {
            InputSpec spec = manifest.inputs.get(i);
            ByteBuffer values = given.get(spec.name);
            if (values == null || given.size() != in.length) {
                throw new InputException("'" + model + "' takes the inputs " + Text.list(manifest.inputs) + "; got "
                        + Text.list(given.keySet()));
            }
            if (values.remaining() % Float.BYTES != 0) {
                throw new InputException("'" + model + "' takes float32 values as " + spec + ", and "
                        + values.remaining() + " bytes are no whole number of these");
            }
            in[i] = checked(model, spec, values.duplicate().order(values.order()).asFloatBuffer());
        }
        return in;
    }

    /** The caller's buffers for the outputs, in the store's order. */
    static FloatBuffer[] outputs(String model, StoreManifest manifest, Map<String, ByteBuffer> given) {
        FloatBuffer[] out = new FloatBuffer[manifest.outputs.size()];
        for (int i = 0; i < out.length; i++) {
            TensorSpec spec = manifest.specs.get(manifest.outputs.get(i));
            ByteBuffer buffer = given.get(spec.name);
            if (buffer == null || given.size() != out.length || buffer.isReadOnly()
                    || buffer.remaining() != spec.bytes()) {
                throw new InputException("'" + model + "' gives the outputs " + Text.list(manifest.outputs) + "; "
                        + spec + " needs a buffer of " + spec.bytes() + " bytes that may be written");
            }
            out[i] = buffer.duplicate().order(buffer.order()).asFloatBuffer();
        }
        return out;
    }

    /** New direct buffers for the outputs, in native byte order. */
    static Map<String, ByteBuffer> newOutputs(StoreManifest manifest) {
        Map<String, ByteBuffer> outputs = new LinkedHashMap<>();
        for (String name : manifest.outputs) {
            TensorSpec spec = manifest.specs.get(name);
            outputs.put(name, ByteBuffer.allocateDirect(spec.bytes()).order(ByteOrder.nativeOrder()));
        }
        return outputs;
    }

    /** NaN is refused because a network may well turn it into an ordinary answer: ReLU makes zeros of it. */
    static FloatBuffer checked(String model, InputSpec spec, FloatBuffer values) {
        if (values.remaining() != spec.elements()) {
            throw new InputException("'" + model + "' takes " + spec.elements() + " float32 values as " + spec
                    + ", got " + values.remaining());
        }
        float check = 0;
        for (int i = values.position(); i < values.limit(); i++) {
            check += values.get(i) * 0; // NaN for what is infinite, and for NaN
        }
        if (check != 0) {
            throw new InputException("'" + model + "' got NaN or infinity in " + spec
                    + "; check what the picture was made from");
        }
        return values;
    }
}
