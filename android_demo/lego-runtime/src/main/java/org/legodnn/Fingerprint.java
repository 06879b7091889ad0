package org.legodnn;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.json.Fields;
import org.legodnn.internal.json.JsonObject;

/** What measurements hold for: another CPU, core count, architecture or executor needs another profile. */
public final class Fingerprint {
    final String machine;
    final String cpu;
    final int cores;
    final String executor;

    /**
     * @param machine architecture, such as "aarch64"
     * @param cpu the processor's name
     * @param cores cores that the process may use
     * @param executor what runs the blocks
     */
    public Fingerprint(String machine, String cpu, int cores, String executor) {
        this.machine = machine;
        this.cpu = cpu;
        this.cores = cores;
        this.executor = executor;
    }

    static Fingerprint read(Fields fields) {
        Fingerprint found = new Fingerprint(
                fields.text("machine"), fields.text("cpu"),
                fields.count("cores", 1, Integer.MAX_VALUE), fields.text("executor"));
        fields.end();
        return found;
    }

    JsonObject toJson() {
        return new JsonObject().put("machine", machine).put("cpu", cpu).put("cores", cores).put("executor", executor);
    }

    /** What differs, as "cores: 4, here 8"; null if nothing does. */
    @Nullable String difference(Fingerprint here) {
        String[] names = {"machine", "cpu", "cores", "executor"};
        Object[] mine = {machine, cpu, cores, executor};
        Object[] other = {here.machine, here.cpu, here.cores, here.executor};
        for (int i = 0; i < names.length; i++) {
            if (!mine[i].equals(other[i])) {
                return names[i] + ": '" + mine[i] + "', here '" + other[i] + "'";
            }
        }
        return null;
    }

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof Fingerprint && difference((Fingerprint) other) == null;
    }

    @Override
    public int hashCode() {
        return cpu.hashCode() * 31 + executor.hashCode();
    }

    @Override
    public String toString() {
        return cpu + " (" + machine + "), " + cores + " cores, " + executor;
    }

    /** Architecture, such as "aarch64". */
    public String machine() {
        return machine;
    }

    /** The processor's name. */
    public String cpu() {
        return cpu;
    }

    /** Cores that the process may use. */
    public int cores() {
        return cores;
    }

    /** What runs the blocks; see {@link BlockExecutor#name}. */
    public String executor() {
        return executor;
    }
}
