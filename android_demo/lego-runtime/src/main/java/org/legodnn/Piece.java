package org.legodnn;

import java.io.Closeable;
import java.nio.ByteBuffer;

/** One option of one segment, loaded. Not safe for use by two threads at once. */
public interface Piece extends Closeable {
    /**
     * Run it, from its inputs to its outputs.
     *
     * @param in direct buffers in native byte order, float32, batch size 1, in the order of the file's inputs
     * @param out the same for its outputs; their content is overwritten
     * @throws InferenceException it failed; the next run may well do
     */
    void run(ByteBuffer[] in, ByteBuffer[] out);

    /** Give back its memory; it may not be run again. */
    @Override
    void close();
}
