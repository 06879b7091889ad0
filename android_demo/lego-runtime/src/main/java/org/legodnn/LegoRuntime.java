package org.legodnn;

import java.io.Closeable;
import java.nio.ByteBuffer;
import java.nio.FloatBuffer;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;

import org.jspecify.annotations.Nullable;
import org.legodnn.internal.Text;

/**
 * The object an application talks to: several models under one budget.
 *
 * <pre>
 * try (LegoRuntime runtime = LegoRuntime.builder().addModel(faces, ofFaces).addModel(scenes, ofScenes).build()) {
 *     float[] scores = runtime.infer("faces", image);
 *     runtime.setBudget(Budget.none().withMemoryBytes(2_000_000)); // re-plans and switches the blocks that change
 * }
 * </pre>
 *
 * Safe for several threads: inferences go on while the budget changes, and one that runs ends on the composition that
 * it started with. If a new budget cannot be held or a block cannot be loaded, the setter throws and everything stays
 * as it was.
 */
public final class LegoRuntime implements Closeable {
    private static final Map<String, Double> NO_FACTORS = Collections.emptyMap();

    private final Map<String, RunningModel> models = new LinkedHashMap<>();
    private final Set<String> profiledHere = new HashSet<>();
    private final Scheduler scheduler;
    private final BlockSwitcher switcher = new BlockSwitcher(models);
    private final long baseMemoryBytes;
    /** Held while the plan changes. */
    private final Object changing = new Object();
    private Map<String, Double> slowdown = NO_FACTORS;
    private Map<String, Double> tail = NO_FACTORS;
    private volatile @Nullable Plan plan;
    private volatile @Nullable Budget ownBudget;
    private volatile PlanSwitch lastSwitch;
    private volatile @Nullable InferenceListener listener;
    private final List<PlanListener> planListeners = new CopyOnWriteArrayList<>();

    LegoRuntime(BlockExecutor executor, List<LegoModel> models, SwitchCharge charge, Budget budget) {
        Fingerprint here = Device.fingerprint(executor);
        for (LegoModel model : models) {
            if (!model.anyDevice) {
                model.profile.checkDevice(here);
            }
            if (model.profile.device.equals(here)) {
                profiledHere.add(model.table.name);
            }
            PoolThreads.check(executor, model.table, model.store.manifest().segments.size());
        }
        scheduler = new Scheduler(WorkloadTables.of(models), charge);
        long start = System.nanoTime();
        Plan first = scheduler.plan(budget);
        baseMemoryBytes = Device.MEMORY.processBytes();
        boolean done = false;
        try {
            for (LegoModel model : models) {
                this.models.put(model.table.name, new RunningModel(model, executor));
            }
            goTo(first, start, NO_FACTORS, NO_FACTORS, null);
            done = true;
        } finally {
            if (!done) {
                close();
            }
        }
    }

    /** A runtime of models that are to be added. */
    public static RuntimeBuilder builder() {
        return new RuntimeBuilder();
    }

    /** The scheduler; may be asked for other plans than the running one. */
    public Scheduler scheduler() {
        return scheduler;
    }

    /**
     * Whether a model's profile was measured on this device with this executor. If not,
     * {@link LegoModel#onAnyDevice} let it pass, and what is seen of its latency holds for no profile.
     */
    public boolean isProfiledHere(String model) {
        return profiledHere.contains(model);
    }

    /**
     * The running plan.
     *
     * @throws ClosedException this runtime is closed
     */
    public Plan plan() {
        Plan running = plan;
        if (running == null) {
            throw new ClosedException("this runtime is closed; open a new one");
        }
        return running;
    }

    /** The budget of the running plan. */
    public Budget budget() {
        return plan().budget();
    }

    /**
     * The application's own budget where the running plan's is what a {@code Governor} made of it; else null. A
     * governor that is made later starts from this.
     */
    public @Nullable Budget ownBudget() {
        return ownBudget;
    }

    /** What the last change of plan did. */
    public PlanSwitch lastSwitch() {
        return lastSwitch;
    }

    /**
     * Tell of every inference from now on; null for no one. To be set before a {@code Governor} is started, which
     * watches inferences by this, and tells whom it found here; one that is set later blinds it.
     */
    public void setInferenceListener(@Nullable InferenceListener next) {
        listener = next;
    }

    /** Who is told of inferences; null for no one. */
    public @Nullable InferenceListener inferenceListener() {
        return listener;
    }

    /**
     * Tell of the running plan now, and of every later one: those of budgets, of a {@code Governor}, and set ones.
     * For a worker thread.
     *
     * @throws ClosedException this runtime is closed
     */
    public void addPlanListener(PlanListener next) {
        synchronized (changing) { // so that none is missed, and none told twice or late
            next.onPlan(plan());
            planListeners.add(next);
        }
    }

    /** Tell it of no more plans. */
    public void removePlanListener(PlanListener other) {
        planListeners.remove(other);
    }

    /**
     * What this process grew by since the runtime had everything but the models, in bytes of proportional set size.
     * Whatever else the application allocates meanwhile counts too. Takes about a millisecond.
     * For a worker thread.
     */
    public long memoryBytes() {
        return Math.max(0, Device.MEMORY.processBytes() - baseMemoryBytes);
    }

    /**
     * What the running composition of a model takes of this process's memory, to be compared with what its plan
     * predicts: it is weighed as {@link Profiler} weighs options, alone. Meanwhile it is let go of, and its inferences
     * and switches wait, for about as long as it takes to load it four times.
     * For a worker thread.
     *
     * @param meter the one that the profile was made with; by default {@link Device#MEMORY}
     * @return bytes, 0 while it is suspended
     * @throws InputException there is no such model
     * @throws StoreException it cannot be loaded any more
     * @throws ClosedException this runtime is closed
     */
    public long weigh(String model, MemoryMeter meter) {
        synchronized (changing) {
            return running(model).weigh(meter);
        }
    }

    /**
     * The memory of what is loaded but does not run, as profiled. What a switch replaces stays loaded for the way back,
     * as far as the budget's limit of memory allows, and never more than the running plan itself holds.
     * For a worker thread.
     */
    public long keptBytes() {
        synchronized (changing) {
            return switcher.keptBytes();
        }
    }

    /**
     * Keep what does not run only as far as it and the running plan hold no more than so many bytes together, from now
     * on; the budget limits it as well. 0 lets go of all of it.
     * For a worker thread.
     */
    public void keepWithin(long bytes) {
        synchronized (changing) {
            switcher.keepWithin(bytes, plan());
        }
    }

    /**
     * Re-plan for another budget, and switch the blocks that change; if that fails nothing changes. Slow-downs and
     * tails stay what they were.
     * For a worker thread.
     *
     * @throws InfeasibleException no combination of blocks holds it
     * @throws WorkloadException it makes no sense
     * @throws StoreException a block cannot be loaded
     * @throws ClosedException this runtime is closed
     */
    public PlanSwitch setBudget(Budget budget) {
        synchronized (changing) {
            return replan(budget, slowdown, tail);
        }
    }

    /**
     * Re-plan for a budget and slow-downs, without tails: see {@link #replan(Budget, Map, Map)}.
     * For a worker thread.
     */
    public PlanSwitch replan(Budget budget, Map<String, Double> slowdown) {
        return replan(budget, slowdown, NO_FACTORS);
    }

    /**
     * Re-plan for a budget and for how much slower than profiled models run now, and switch; if that fails nothing
     * changes. Later budgets keep the slow-downs. Throws what {@link #setBudget} does.
     * For a worker thread.
     *
     * @param slowdown by model, its latency now divided by its profiled latency
     * @param tail by model, how many times longer than planned its slowest inferences take; see {@link Scheduler}
     */
    public PlanSwitch replan(Budget budget, Map<String, Double> slowdown, Map<String, Double> tail) {
        synchronized (changing) {
            Plan running = plan();
            long start = System.nanoTime();
            Plan next = scheduler.plan(budget, running, slowdown, Scheduler.DEADLINE_MS, tail);
            return goTo(next, start, slowdown, tail, null);
        }
    }

    /**
     * Like {@link #replan(Budget, Map, Map)}; but where no plan holds the budget, switch to the one that comes nearest.
     * For a worker thread.
     *
     * @param own the application's own budget, of which this one was made; see {@link #ownBudget}
     * @return null if the plan that now runs holds the budget; else why no plan does, and the report's nearest one runs
     * @throws InfeasibleException there is not even a nearest one
     */
    public @Nullable Infeasible replanNearest(
            Budget budget, Map<String, Double> slowdown, Map<String, Double> tail, Budget own) {
        synchronized (changing) {
            Plan running = plan();
            long start = System.nanoTime();
            Infeasible why = null;
            Plan next;
            try {
                next = scheduler.plan(budget, running, slowdown, Scheduler.DEADLINE_MS, tail);
            } catch (InfeasibleException e) {
                why = e.report();
                next = why.nearest();
                if (next == null) {
                    throw e;
                }
            }
            goTo(next, start, slowdown, tail, own);
            return why;
        }
    }

    /**
     * Switch to a plan made elsewhere; if that fails nothing changes.
     * For a worker thread.
     *
     * @throws WorkloadException it was made for other models, stores or thread counts than those profiled, or a
     *     composition would have too many threads in pools
     * @throws StoreException a block cannot be loaded
     * @throws ClosedException this runtime is closed
     */
    public PlanSwitch setPlan(Plan plan) {
        synchronized (changing) {
            plan();
            Set<String> planned = new LinkedHashSet<>();
            for (ModelPlan model : plan.models()) {
                planned.add(model.name);
            }
            if (!planned.equals(models.keySet())) {
                throw new WorkloadException("this plan is for " + Text.list(planned) + "; this runtime has "
                        + Text.list(models.keySet()));
            }
            for (RunningModel model : models.values()) {
                model.check(plan.get(model.name));
            }
            return goTo(plan, System.nanoTime(), slowdown, tail, null);
        }
    }

    /** Switch to a plan that was sought since `start`, and tell of it; if switching fails everything is put back. */
    private PlanSwitch goTo(
            Plan next, long start, Map<String, Double> slowdown, Map<String, Double> tail, @Nullable Budget own) {
        lastSwitch = switcher.goTo(next, plan, start);
        plan = next;
        ownBudget = own;
        this.slowdown = new LinkedHashMap<>(slowdown);
        this.tail = new LinkedHashMap<>(tail);
        RuntimeException thrown = null;
        for (PlanListener told : planListeners) {
            try {
                told.onPlan(next);
            } catch (RuntimeException e) { // the others are to be told all the same
                thrown = thrown == null ? e : thrown;
            }
        }
        if (thrown != null) {
            throw thrown;
        }
        return lastSwitch;
    }

    /**
     * Run one inference of a model with one input and one output.
     * For a worker thread.
     *
     * @param model its name
     * @param input float32 values of the input's shape, flat, without a batch dimension, none of them NaN or infinite
     * @return the output, flat, without a batch dimension
     * @throws InputException unknown model, wrong size, NaN, or several inputs or outputs
     * @throws SuspendedException the plan has no room for this model at the moment
     * @throws InferenceException it failed while it ran; the next may well do
     * @throws ClosedException this runtime is closed
     */
    public float[] infer(String model, float[] input) {
        StoreManifest manifest = running(model).store.manifest();
        Requests.checkSingle(model, manifest);
        float[] output = new float[manifest.specs.get(manifest.outputs.get(0)).elements()];
        infer(model, input, output);
        return output;
    }

    /**
     * The same into an array of the caller's, which must have as many elements as the output; allocates nothing large.
     * For a worker thread.
     */
    public void infer(String model, float[] input, float[] output) {
        RunningModel running = running(model);
        StoreManifest manifest = running.store.manifest();
        Requests.checkSingle(model, manifest);
        TensorSpec spec = manifest.specs.get(manifest.outputs.get(0));
        if (output.length != spec.elements()) {
            throw new InputException("'" + model + "' gives " + spec.elements() + " values as " + spec + ", and "
                    + output.length + " were asked for");
        }
        FloatBuffer in = Requests.checked(model, manifest.inputs.get(0), FloatBuffer.wrap(input));
        run(running, new FloatBuffer[] {in}, new FloatBuffer[] {FloatBuffer.wrap(output)});
    }

    /**
     * Run one inference, buffers by tensor name; throws what the other form does.
     * For a worker thread.
     *
     * @param model its name
     * @param inputs float32, from position to limit, in the buffer's byte order; they are left as they are
     * @return outputs as direct buffers in native byte order, the caller's own
     */
    public Map<String, ByteBuffer> infer(String model, Map<String, ByteBuffer> inputs) {
        return run(model, inputs).outputs;
    }

    /** Like {@link #infer(String, Map)}; the answer says also what ran and how long. For a worker thread. */
    public Inference run(String model, Map<String, ByteBuffer> inputs) {
        return run(model, inputs, Requests.newOutputs(running(model).store.manifest()));
    }

    /**
     * The same into buffers of the caller's.
     * For a worker thread.
     *
     * @param outputs one for each output by name, which is filled from position to limit in its own byte order and
     *     otherwise left as it is
     */
    public Inference run(String model, Map<String, ByteBuffer> inputs, Map<String, ByteBuffer> outputs) {
        RunningModel running = running(model);
        StoreManifest manifest = running.store.manifest();
        FloatBuffer[] in = Requests.inputs(model, manifest, inputs);
        RunningModel.Ran ran = run(running, in, Requests.outputs(model, manifest, outputs));
        return new Inference(outputs, ran.plan, ran.latencyMs);
    }

    private RunningModel.Ran run(RunningModel running, FloatBuffer[] in, FloatBuffer[] out) {
        RunningModel.Ran ran = running.infer(in, out);
        InferenceListener told = listener;
        if (told != null) {
            told.onInference(ran.plan, ran.latencyMs);
        }
        return ran;
    }

    private RunningModel running(String model) {
        RunningModel running = models.get(model);
        if (running == null) {
            throw new InputException("no model '" + model + "' in this runtime; it has " + Text.list(models.keySet()));
        }
        plan();
        return running;
    }

    /** Let go of all pieces; inferences that run are waited for. For a worker thread. */
    @Override
    public void close() {
        synchronized (changing) {
            plan = null;
            for (RunningModel model : models.values()) {
                model.close();
            }
        }
    }
}
