package org.legodnn;

/** One variant of a segment: one {@code .tflite} file with batch size 1; its inputs and outputs are float32. */
public final class Option {
    final String name;
    final double sparsity;
    final String precision;
    final String file;
    final String sha256;
    final long bytes;
    final long params;
    final long macs;
    final double loss;
    final boolean dominated;

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

    /** Unique in the segment, such as "s0.4-int8". */
    public String name() {
        return name;
    }

    /** Share of inner channels removed. */
    public double sparsity() {
        return sparsity;
    }

    /** What weights are stored in: float32, float16 or int8. */
    public String precision() {
        return precision;
    }

    /** Path relative to the store. */
    public String file() {
        return file;
    }

    /** Of the file, in hex. */
    public String sha256() {
        return sha256;
    }

    /** Size of the file. */
    public long bytes() {
        return bytes;
    }

    /** Parameters. */
    public long params() {
        return params;
    }

    /** Multiply-accumulates of one inference. */
    public long macs() {
        return macs;
    }

    /** What choosing it adds to the sum that the store's link turns into the metric. */
    public double loss() {
        return loss;
    }

    /** Whether another option is no larger, no slower (as far as can be told without a device) and no less accurate. */
    public boolean dominated() {
        return dominated;
    }
}
