package org.legodnn;

/** One variant of a segment: one {@code .tflite} file with batch size 1; its inputs and outputs are float32. */
public final class Option {
    /** Unique in the segment, such as "s0.4-int8". */
    public final String name;
    /** Share of inner channels removed. */
    public final double sparsity;
    /** What weights are stored in: float32, float16 or int8. */
    public final String precision;
    /** Path relative to the store. */
    public final String file;
    /** Of the file, in hex. */
    public final String sha256;
    /** Size of the file. */
    public final long bytes;
    /** Parameters. */
    public final long params;
    /** Multiply-accumulates of one inference. */
    public final long macs;
    /** What choosing it adds to the sum that the store's link turns into the metric. */
    public final double loss;
    /** Whether another option is no larger, no slower (as far as can be told without a device) and no less accurate. */
    public final boolean dominated;

    Option(String name, double sparsity, String precision, String file, String sha256, long bytes, long params,
            long macs, double loss, boolean dominated) {
        this.name = name;
        this.sparsity = sparsity;
        this.precision = precision;
        this.file = file;
        this.sha256 = sha256;
        this.bytes = bytes;
        this.params = params;
        this.macs = macs;
        this.loss = loss;
        this.dominated = dominated;
    }
}
