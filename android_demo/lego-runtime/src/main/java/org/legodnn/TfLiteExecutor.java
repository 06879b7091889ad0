package org.legodnn;

import java.io.File;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

import org.tensorflow.lite.DataType;
import org.tensorflow.lite.Interpreter;
import org.tensorflow.lite.Tensor;
import org.tensorflow.lite.TensorFlowLite;

import org.jspecify.annotations.Nullable;

/**
 * Runs options by TensorFlow Lite's Java API, an {@link Interpreter} each, on the CPU by XNNPACK.
 *
 * <p>The direct buffers that a piece is given are handed to the interpreter as they are: nothing is copied on the Java
 * side. TensorFlow Lite itself moves their content into and out of its own tensors, which its Java API has no way
 * around.
 */
public final class TfLiteExecutor implements BlockExecutor {
    @Override
    public String name() {
        return "tensorflow-lite " + TensorFlowLite.runtimeVersion();
    }

    @Override
    public Piece load(File tflite, int threads, TensorSpec[] in, TensorSpec[] out) {
        Interpreter interpreter;
        try {
            interpreter = new Interpreter(tflite, new Interpreter.Options().setNumThreads(threads).setUseXNNPACK(true));
        } catch (IllegalArgumentException | IllegalStateException e) {
            throw new StoreException(
                    tflite + " cannot be loaded (" + firstLine(e) + "); build the store again", e);
        }
        boolean sound = false;
        try {
            interpreter.allocateTensors();
            String problem = interpreter.getInputTensorCount() != in.length
                    || interpreter.getOutputTensorCount() != out.length ? "another number of tensors" : null;
            for (int i = 0; i < in.length && problem == null; i++) {
                problem = problem(interpreter.getInputTensor(i), in[i]);
            }
            for (int i = 0; i < out.length && problem == null; i++) {
                problem = problem(interpreter.getOutputTensor(i), out[i]);
            }
            if (problem != null) {
                throw new StoreException(tflite + " has " + problem + " than the manifest says; build the store again");
            }
            sound = true;
        } catch (IllegalArgumentException | IllegalStateException e) {
            throw new StoreException(
                    tflite + " cannot be loaded (" + firstLine(e) + "); build the store again", e);
        } finally {
            if (!sound) {
                interpreter.close();
            }
        }
        return new InterpreterPiece(interpreter, tflite);
    }

    /** What of a tensor is not what the manifest says; null if all is. */
    private static @Nullable String problem(Tensor tensor, TensorSpec spec) {
        int[] shape = spec.shape();
        int[] wanted = new int[shape.length + 1];
        wanted[0] = 1;
        System.arraycopy(shape, 0, wanted, 1, shape.length);
        boolean same = Arrays.equals(tensor.shape(), wanted) && tensor.dataType() == DataType.FLOAT32;
        return same ? null : "another tensor (" + tensor.dataType() + Arrays.toString(tensor.shape()) + " for "
                + spec.name + Arrays.toString(wanted) + ")";
    }

    private static String firstLine(Exception e) {
        return String.valueOf(e.getMessage()).split("\n", 2)[0];
    }

    private static final class InterpreterPiece implements Piece {
        private final Interpreter interpreter;
        private final File file;
        private final Map<Integer, Object> outputs = new HashMap<>();

        InterpreterPiece(Interpreter interpreter, File file) {
            this.interpreter = interpreter;
            this.file = file;
        }

        @Override
        public void run(ByteBuffer[] in, ByteBuffer[] out) {
            for (ByteBuffer buffer : in) {
                buffer.clear();
            }
            for (int i = 0; i < out.length; i++) {
                out[i].clear();
                outputs.put(i, out[i]);
            }
            try {
                interpreter.runForMultipleInputsOutputs(in, outputs);
            } catch (IllegalArgumentException | IllegalStateException e) {
                throw new InferenceException(file + " failed while it ran: " + firstLine(e), e);
            }
        }

        @Override
        public void close() {
            interpreter.close();
        }
    }
}
