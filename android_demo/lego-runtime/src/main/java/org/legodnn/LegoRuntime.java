package org.legodnn;

import java.io.Closeable;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/**
 * The object an application talks to: several models under one budget.
 *
 * <pre>
 * try (LegoRuntime runtime = LegoRuntime.open(stores, profiles)) {
 *     float[] logits = runtime.infer("vgg16", image);
 *     runtime.setBudget(Budget.none().withMemoryBytes(2_000_000)); // re-plans and switches the blocks that change
 * }
 * </pre>
 *
 * Safe for several threads: inferences go on while the budget changes, and one that runs ends on the composition that
 * it started with. If a new budget cannot be held or a block cannot be loaded, the setter throws and everything stays
 * as it was.
 */
public final class LegoRuntime implements Closeable {
    private final Map<String, RunningModel> models = new LinkedHashMap<>();
    private final Scheduler scheduler;
    private final long baseMemoryBytes;
    /** Held while the plan changes. */
    private final Object changing = new Object();
    private Map<String, Double> slowdown = Collections.emptyMap();
    /** What the application asked for, and what the device can spare besides; null if that is not known. */
    private Budget asked;
    private Long spareBytes;
    private volatile Plan plan;
    private volatile PlanSwitch lastSwitch;

    /**
     * Plan for a budget, and load.
     *
     * @param executor what loads options
     * @param models the models, each of a name of its own
     * @param charge what leaving a running plan costs; {@link SwitchCharge#NONE} for nothing
     * @param budget the first budget
     * @throws ProfileException a profile is of another device
     * @throws StoreException a file was damaged since its store was opened
     * @throws InfeasibleException no combination of blocks holds the budget
     */
    public LegoRuntime(BlockExecutor executor, List<LegoModel> models, SwitchCharge charge, Budget budget) {
        List<ModelTable> tables = new ArrayList<>();
        for (LegoModel model : models) {
            if (!model.anyDevice) {
                model.profile.checkDevice(Device.fingerprint(executor));
            }
            tables.add(model.table);
        }
        scheduler = new Scheduler(tables, charge);
        asked = budget;
        long start = System.nanoTime();
        Plan first = scheduler.plan(budget);
        baseMemoryBytes = Device.MEMORY.processBytes();
        boolean done = false;
        try {
            for (LegoModel model : models) {
                this.models.put(model.table.name, new RunningModel(model, executor));
            }
            goTo(first, start);
            done = true;
        } finally {
            if (!done) {
                close();
            }
        }
    }

    /**
     * A runtime by TensorFlow Lite, without limits.
     *
     * @param stores the models' stores, whose names differ
     * @param profiles what this device measured of them, in the same order
     */
    public static LegoRuntime open(List<Store> stores, List<Profile> profiles) {
        if (stores.size() != profiles.size()) {
            throw new WorkloadException(stores.size() + " stores but " + profiles.size() + " profiles were given");
        }
        List<LegoModel> models = new ArrayList<>();
        for (int i = 0; i < stores.size(); i++) {
            models.add(LegoModel.of(stores.get(i), profiles.get(i)));
        }
        return new LegoRuntime(new TfLiteExecutor(), models, SwitchCharge.NONE, Budget.none());
    }

    /** The scheduler; may be asked for other plans than the running one. */
    public Scheduler scheduler() {
        return scheduler;
    }

    /** The running plan. */
    public Plan plan() {
        Plan running = plan;
        if (running == null) {
            throw new InputException("this runtime is closed; open a new one");
        }
        return running;
    }

    /** The budget of the running plan: what was asked for, less what the device cannot spare. */
    public Budget budget() {
        return plan().budget();
    }

    /** What the last change of plan did. */
    public PlanSwitch lastSwitch() {
        return lastSwitch;
    }

    /**
     * What this process grew by since the runtime had everything but the models, in bytes of proportional set size.
     * Whatever else the application allocates meanwhile counts too. Takes about a millisecond.
     */
    public long memoryBytes() {
        return Math.max(0, Device.MEMORY.processBytes() - baseMemoryBytes);
    }

    /**
     * Re-plan for another budget, and switch the blocks that change; if that fails nothing changes.
     *
     * @throws InfeasibleException no combination of blocks holds it
     * @throws WorkloadException it makes no sense
     * @throws StoreException a block cannot be loaded
     */
    public PlanSwitch setBudget(Budget budget) {
        synchronized (changing) {
            return replan(budget, slowdown);
        }
    }

    /**
     * Re-plan for a budget and slow-downs (by model, how many times slower it runs than profiled), and switch; if that
     * fails nothing changes. Later budgets keep the slow-downs. Throws what {@link #setBudget} does.
     */
    public PlanSwitch replan(Budget budget, Map<String, Double> slowdown) {
        synchronized (changing) {
            Plan running = plan();
            long start = System.nanoTime();
            PlanSwitch done = goTo(planWithin(budget, spareBytes, running, slowdown), start);
            this.asked = budget;
            this.slowdown = new LinkedHashMap<>(slowdown);
            return done;
        }
    }

    /**
     * Re-plan for the memory that the device can spare at the moment, and switch; if that fails nothing changes. It
     * limits memory beside the budget, which stays what it was, until another value is set. Where not even the smallest
     * plan that holds the budget's other limits fits, that one runs: there is nothing smaller to go to, and the models
     * are needed. (Best-effort models are suspended before.) {@link MemoryMonitor} calls this.
     *
     * @param bytes what all models together may hold; null for no limit of the device's
     * @throws WorkloadException not positive
     * @throws StoreException a block cannot be loaded
     */
    public PlanSwitch setSpareMemory(Long bytes) {
        synchronized (changing) {
            Plan running = plan();
            long start = System.nanoTime();
            PlanSwitch done = goTo(planWithin(asked, bytes, running, slowdown), start);
            spareBytes = bytes;
            return done;
        }
    }

    /** The best plan for a budget and for what the device can spare, or the smallest for the budget alone. */
    private Plan planWithin(Budget budget, Long spare, Plan running, Map<String, Double> slowdown) {
        Long own = budget.memoryBytes();
        if (spare == null || own != null && own <= spare) {
            return scheduler.plan(budget, running, slowdown);
        }
        try {
            return scheduler.plan(budget.withMemoryBytes(spare), running, slowdown);
        } catch (InfeasibleException e) {
            for (Limit limit : e.report().limits()) {
                if (limit.kind == Limit.Kind.MEMORY && limit.needed != null && (own == null || limit.needed <= own)) {
                    return scheduler.plan(budget.withMemoryBytes(limit.needed.longValue()), running, slowdown);
                }
            }
            return scheduler.plan(budget, running, slowdown); // it is the budget that cannot be held, and that says so
        }
    }

    /**
     * Switch to a plan made elsewhere; if that fails nothing changes.
     *
     * @throws WorkloadException it was made for other stores
     * @throws StoreException a block cannot be loaded
     */
    public PlanSwitch setPlan(Plan plan) {
        synchronized (changing) {
            plan();
            for (RunningModel model : models.values()) {
                ModelPlan planned = plan.find(model.name);
                TreeSet<String> blocks = new TreeSet<>();
                for (Segment block : model.store.blocks()) {
                    blocks.add(block.name);
                }
                if (planned == null || !planned.suspended && !blocks.equals(new TreeSet<>(planned.options.keySet()))) {
                    throw new WorkloadException("this plan was not made for the store of '" + model.name
                            + "'; make one with Scheduler or `legodnn plan`");
                }
            }
            PlanSwitch done = goTo(plan, System.nanoTime());
            asked = plan.budget();
            return done;
        }
    }

    /** Switch to a plan that was sought since `start`; if that fails everything is put back. */
    private PlanSwitch goTo(Plan next, long start) {
        long planned = System.nanoTime();
        List<Change> changes = changes(next);
        List<Change> done = new ArrayList<>();
        try {
            for (Change change : changes) {
                models.get(change.model).change(change.after, next.get(change.model), change.beside);
                done.add(change);
            }
        } catch (RuntimeException | Error e) {
            putBack(done, e);
            throw e;
        }
        List<String> loaded = new ArrayList<>();
        List<String> dropped = new ArrayList<>();
        for (Change change : changes) {
            loaded.addAll(change.names(change.after, change.before));
            dropped.addAll(change.names(change.before, change.after));
        }
        for (RunningModel model : models.values()) {
            model.claim(next.get(model.name));
        }
        plan = next;
        long end = System.nanoTime();
        lastSwitch = new PlanSwitch(loaded, dropped, (planned - start) / 1e6, (end - planned) / 1e6);
        return lastSwitch;
    }

    private void putBack(List<Change> done, Throwable failure) {
        Plan old = plan;
        for (int i = done.size() - 1; i >= 0 && old != null; i--) {
            Change change = done.get(i);
            try {
                models.get(change.model).change(change.before, old.get(change.model), change.beside);
            } catch (RuntimeException | Error e) {
                failure.addSuppressed(e); // that model stands still; its inferences say why
            }
        }
    }

    /** What a plan changes, in the order in which it is done. */
    private List<Change> changes(Plan next) {
        List<Change> changes = new ArrayList<>();
        long used = 0;
        for (RunningModel model : models.values()) {
            used += model.bytes(model.choices());
            Change change = model.changeTo(next.get(model.name));
            if (change != null) {
                changes.add(change);
            }
        }
        return Change.inOrder(changes, used, next.budget().memoryBytes());
    }

    /**
     * Run one inference of a model with one input and one output.
     *
     * @param model its name
     * @param input float32 values of the input's shape, flat, without a batch dimension, none of them NaN or infinite
     * @return the output, flat, without a batch dimension
     * @throws InputException unknown model, wrong size, NaN, or several inputs or outputs
     * @throws SuspendedException the plan has no room for this model at the moment
     * @throws InferenceException it failed while it ran; the next may well do
     */
    public float[] infer(String model, float[] input) {
        RunningModel running = running(model);
        Manifest manifest = running.store.manifest();
        if (manifest.inputs.size() != 1 || manifest.outputs.size() != 1) {
            throw new InputException("'" + model + "' has " + manifest.inputs.size() + " inputs and "
                    + manifest.outputs.size() + " outputs; give and take buffers by name");
        }
        FloatBuffer in = checked(model, manifest.inputs.get(0), FloatBuffer.wrap(input));
        float[] output = new float[manifest.specs.get(manifest.outputs.get(0)).elements()];
        running.infer(new FloatBuffer[] {in}, new FloatBuffer[] {FloatBuffer.wrap(output)});
        return output;
    }

    /**
     * Run one inference, buffers by tensor name; throws what the other form does.
     *
     * @param model its name
     * @param inputs float32, from position to limit, in the buffer's byte order; they are left as they are
     * @return outputs as direct buffers in native byte order, the caller's own
     */
    public Map<String, ByteBuffer> infer(String model, Map<String, ByteBuffer> inputs) {
        return run(model, inputs).outputs;
    }

    /** Like {@link #infer(String, Map)}; the answer says also what ran and how long. */
    public Inference run(String model, Map<String, ByteBuffer> inputs) {
        RunningModel running = running(model);
        Manifest manifest = running.store.manifest();
        FloatBuffer[] in = new FloatBuffer[manifest.inputs.size()];
        for (int i = 0; i < in.length; i++) {
            InputSpec spec = manifest.inputs.get(i);
            ByteBuffer given = inputs.get(spec.name);
            if (given == null || inputs.size() != in.length) {
                throw new InputException("'" + model + "' takes the inputs " + Text.list(manifest.inputs) + "; got "
                        + Text.list(inputs.keySet()));
            }
            in[i] = checked(model, spec, given.duplicate().order(given.order()).asFloatBuffer());
        }
        Map<String, ByteBuffer> outputs = new LinkedHashMap<>();
        FloatBuffer[] out = new FloatBuffer[manifest.outputs.size()];
        for (int i = 0; i < out.length; i++) {
            TensorSpec spec = manifest.specs.get(manifest.outputs.get(i));
            ByteBuffer buffer = ByteBuffer.allocateDirect(spec.bytes()).order(ByteOrder.nativeOrder());
            outputs.put(spec.name, buffer);
            out[i] = buffer.asFloatBuffer();
        }
        RunningModel.Ran ran = running.infer(in, out);
        return new Inference(outputs, ran.plan, ran.latencyMs);
    }

    private RunningModel running(String model) {
        RunningModel running = models.get(model);
        if (running == null) {
            throw new InputException("no model '" + model + "' in this runtime; it has " + Text.list(models.keySet()));
        }
        plan();
        return running;
    }

    /** NaN is refused because a network may well turn it into an ordinary answer: ReLU makes zeros of it. */
    private static FloatBuffer checked(String model, InputSpec spec, FloatBuffer values) {
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

    /** Let go of all pieces; inferences that run are waited for. */
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
