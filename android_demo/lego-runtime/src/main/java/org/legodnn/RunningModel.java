package org.legodnn;

import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.locks.ReentrantLock;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.Text;

/**
 * One model in a runtime: its chain, what it runs now, and going to something else while inference goes on. Inference
 * and replacing the composition exclude each other; loading goes on beside inference where it may.
 */
final class RunningModel {
    final String name;
    final Store store;
    private final BlockExecutor executor;
    private final Chain chain;
    /** Memory in bytes by option; see {@link Profile#key}. */
    private final Map<String, Long> sizes = new HashMap<>();
    /** Thread counts that were profiled. */
    private final TreeSet<Integer> threads = new TreeSet<>();
    /** Fair, so that a switch need not wait for more than the inferences that came before it. */
    private final ReentrantLock lock = new ReentrantLock(true);
    /** What runs, guarded by the lock; null while it is suspended or stands still. */
    private Chain.@Nullable Composition running;
    private @Nullable ModelPlan plan;
    private String reason = "has not been started";
    private boolean closed;

    RunningModel(LegoModel model, BlockExecutor executor) {
        this.name = model.table.name;
        this.store = model.store;
        this.executor = executor;
        this.chain = new Chain(store, executor);
        for (OptionProfile option : model.profile.options) {
            sizes.put(Profile.key(option.segment, option.option), option.memoryBytes);
            for (Latency latency : option.latency) {
                threads.add(latency.threads);
            }
        }
    }

    /** What it runs; empty while it is suspended. */
    List<Choice> choices() {
        lock.lock();
        try {
            return running == null ? Collections.<Choice>emptyList() : running.choices;
        } finally {
            lock.unlock();
        }
    }

    /** Memory of choices, as profiled; 0 for those that were not. */
    long bytes(Collection<Choice> choices) {
        long sum = 0;
        for (Choice choice : choices) {
            Long size = sizes.get(Profile.key(choice.segment, choice.option));
            sum += size == null ? 0 : size;
        }
        return sum;
    }

    /** The threads in pools of a choice that is loaded. */
    int poolThreads(Choice choice) {
        return PoolThreads.ofPiece(executor, choice.threads);
    }

    /**
     * Check that a plan is for this model's store, and chooses what was profiled.
     *
     * @throws WorkloadException it is not
     */
    void check(ModelPlan planned) {
        TreeSet<String> blocks = new TreeSet<>();
        for (Segment block : store.blocks()) {
            blocks.add(block.name);
        }
        if (!planned.suspended && !blocks.equals(new TreeSet<>(planned.options.keySet()))) {
            throw new WorkloadException("this plan was not made for the store of '" + name
                    + "'; make one with Scheduler or `legodnn plan`");
        }
        for (Choice choice : Choice.of(store, planned)) {
            if (!threads.contains(choice.threads)) {
                throw new WorkloadException("the plan runs '" + name + "' with " + choice.threads
                        + " threads; it was profiled with " + Text.list(threads));
            }
            if (!sizes.containsKey(Profile.key(choice.segment, choice.option))) {
                throw new WorkloadException("the plan gives " + name + "/" + choice.segment + " the option '"
                        + choice.option + "', which its profile does not have; make a plan with Scheduler");
            }
        }
    }

    /** What going to a plan changes; null if nothing. */
    @Nullable Change changeTo(ModelPlan planned) {
        List<Choice> before = choices();
        List<Choice> after = Choice.of(store, planned);
        return before.equals(after) ? null
                : new Change(name, before, after, bytes(after) - bytes(before), bytes(without(after, before)), true);
    }

    private static List<Choice> without(List<Choice> choices, List<Choice> others) {
        List<Choice> rest = new ArrayList<>(choices);
        rest.removeAll(others);
        return rest;
    }

    /** What is loaded but does not run. */
    List<Choice> unused() {
        return without(chain.loaded(), choices());
    }

    /** Let go of what is loaded but does not run. */
    void drop(Choice choice) {
        chain.drop(choice);
    }

    /**
     * Run an inference.
     *
     * @param in checked, in the order of the store's inputs
     * @param out to be filled, in the order of its outputs
     * @return what ran, and how long it took without waiting
     * @throws SuspendedException it runs nothing at the moment
     * @throws InferenceException it failed; only this request is lost
     * @throws ClosedException it has been closed
     */
    Ran infer(FloatBuffer[] in, FloatBuffer[] out) {
        StoreManifest manifest = store.manifest();
        lock.lock();
        try {
            ModelPlan planned = plan;
            if (closed) {
                throw new ClosedException("'" + name + "' belongs to a runtime that is closed; open a new one");
            }
            if (running == null || planned == null) {
                throw new SuspendedException("'" + name + "' " + reason);
            }
            long start = System.nanoTime();
            for (int i = 0; i < in.length; i++) {
                floats(manifest.inputs.get(i).name).put(in[i]);
            }
            running.run();
            for (int i = 0; i < out.length; i++) {
                out[i].put(floats(manifest.outputs.get(i)));
            }
            return new Ran(planned, (System.nanoTime() - start) / 1e6);
        } finally {
            lock.unlock();
        }
    }

    /** What an inference ran, and how long. */
    static final class Ran {
        final ModelPlan plan;
        final double latencyMs;

        Ran(ModelPlan plan, double latencyMs) {
            this.plan = plan;
            this.latencyMs = latencyMs;
        }
    }

    private FloatBuffer floats(String tensor) {
        ByteBuffer buffer = chain.tensor(tensor);
        buffer.clear();
        return buffer.asFloatBuffer();
    }

    /**
     * Go to other choices, made for a plan; inferences that run end on the old ones, which stay loaded if they were not
     * in the way. If it fails the old ones run on.
     *
     * @param after as {@link Choice#of} gives them; empty to suspend it
     * @param planned what inferences claim to have run
     * @param beside see {@link Change#beside}
     */
    void change(List<Choice> after, ModelPlan planned, boolean beside) {
        if (beside) {
            Chain.Composition next = composed(after);
            lock.lock();
            set(next, planned);
            lock.unlock();
        } else {
            lock.lock();
            try {
                changeAlone(after, planned);
            } finally {
                lock.unlock();
            }
        }
    }

    /** Let go of the old before the new is loaded, while inferences wait. */
    private void changeAlone(List<Choice> after, ModelPlan planned) {
        List<Choice> before = choices();
        ModelPlan old = plan;
        set(null, null);
        try {
            for (Choice choice : without(before, after)) {
                chain.drop(choice);
            }
            set(composed(after), planned);
        } catch (RuntimeException | Error e) {
            restore(before, old, e);
            throw e;
        }
    }

    private void set(Chain.@Nullable Composition composition, @Nullable ModelPlan planned) {
        running = composition;
        plan = planned;
        reason = "is suspended under the current budget; give it more room and try again";
    }

    /** Load again what had been let go; if not even that can be done the model stands still and says why. */
    private void restore(List<Choice> before, @Nullable ModelPlan old, Throwable failure) {
        try {
            set(composed(before), old);
        } catch (RuntimeException | Error e) {
            if (e != failure) { // there may be one OutOfMemoryError for all
                failure.addSuppressed(e);
            }
            reason = "cannot be loaded any more: " + (e.getMessage() == null ? e : e.getMessage());
        }
    }

    private Chain.@Nullable Composition composed(List<Choice> choices) {
        return choices.isEmpty() ? null : chain.compose(choices);
    }

    /**
     * What the running composition takes of this process's memory, weighed as options are profiled: it is let go of,
     * loaded alone, and put back, while inferences wait.
     *
     * @return bytes, 0 while it is suspended
     */
    long weigh(MemoryMeter meter) {
        lock.lock();
        try {
            List<Choice> choices = choices();
            ModelPlan planned = plan;
            if (choices.isEmpty()) {
                return 0;
            }
            set(null, null);
            for (Choice choice : choices) {
                chain.drop(choice);
            }
            try {
                double bytes = Weigher.taken(store, executor, meter, choices);
                set(composed(choices), planned);
                return Math.max(0, Math.round(bytes));
            } catch (RuntimeException | Error e) {
                restore(choices, planned, e);
                throw e;
            }
        } finally {
            lock.unlock();
        }
    }

    /** Inferences from now on run for this plan, which chooses what runs already. */
    void claim(ModelPlan planned) {
        lock.lock();
        plan = planned;
        lock.unlock();
    }

    /** Let go of everything; an inference that runs is waited for. */
    void close() {
        lock.lock();
        try {
            running = null;
            closed = true;
            chain.retain(Collections.<Choice>emptyList());
        } finally {
            lock.unlock();
        }
    }
}
