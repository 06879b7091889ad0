package org.legodnn.demo;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.legodnn.BlockRows;
import org.legodnn.LegoException;
import org.legodnn.LegoRuntime;
import org.legodnn.StoreManifest;
import org.legodnn.MemoryMeter;
import org.legodnn.ModelPlan;
import org.legodnn.ModelTable;
import org.legodnn.Option;
import org.legodnn.OptionRow;
import org.legodnn.Plan;
import org.legodnn.PlanSwitch;
import org.legodnn.Segment;
import org.legodnn.Workload;

/** Makes the screens of the plan that a runtime runs: as predicted, then as each model was measured on the digits. */
abstract class Measurement implements Runnable {
    private final LegoRuntime runtime;
    private final Workload workload;
    private final Digits digits;
    private final MemoryMeter meter;
    private final String problem;
    private final Long spareBytes;
    private final Plan plan;
    private final PlanSwitch last;
    private final Map<String, Screen.Measured> measured = new HashMap<>();
    private volatile boolean stopped;

    /**
     * @param meter tells this process's memory, as when it was profiled
     * @param problem why the last budget was refused, in words; null if it was not
     * @param spareBytes what the device can spare; null if that is no limit
     */
    Measurement(LegoRuntime runtime, Workload workload, Digits digits, MemoryMeter meter, String problem,
            Long spareBytes) {
        this.runtime = runtime;
        this.workload = workload;
        this.digits = digits;
        this.meter = meter;
        this.problem = problem;
        this.spareBytes = spareBytes;
        this.plan = runtime.plan();
        this.last = runtime.lastSwitch();
    }

    abstract void onScreen(Screen screen);

    abstract void onFailed(LegoException e);

    /** End it after the inference that runs; what it says from now on is to be ignored. From any thread. */
    void stop() {
        stopped = true;
    }

    boolean isStopped() {
        return stopped;
    }

    @Override
    public void run() {
        try {
            for (ModelPlan model : plan.models()) {
                Screen.Measured found = model.suspended() ? null : measured(model.name());
                if (stopped) {
                    return;
                }
                measured.put(model.name(), found);
                publish();
            }
        } catch (LegoException e) {
            if (!stopped) {
                onFailed(e);
            }
        }
    }

    private Screen.Measured measured(String model) {
        double[] latencies = new double[digits.count()];
        int right = 0;
        for (int i = 0; i < digits.count() && !stopped; i++) {
            long began = System.nanoTime();
            float[] scores = runtime.infer(model, digits.image(i));
            latencies[i] = (System.nanoTime() - began) / 1e6;
            right += digits.isRight(i, scores) ? 1 : 0;
        }
        Arrays.sort(latencies);
        return new Screen.Measured((double) right / digits.count(), latencies[digits.count() / 2],
                stopped ? 0 : runtime.weigh(model, meter));
    }

    /** Tell what is known by now. */
    void publish() {
        List<Screen.Model> models = new ArrayList<>();
        for (ModelPlan model : plan.models()) {
            models.add(new Screen.Model(model.name(), model.suspended(), chain(model), model.accuracy(),
                    model.accuracyError(), model.latencyMs(), model.memoryBytes(), original(model),
                    measured.get(model.name())));
        }
        onScreen(new Screen(
                models, plan.memoryBytes(), measuredBytes(), last.loaded().size(), last.planMs(), last.switchMs(),
                problem, spareBytes));
    }

    /** The memory of all models that run; null until each was measured. */
    private Long measuredBytes() {
        long sum = 0;
        for (ModelPlan model : plan.models()) {
            if (!measured.containsKey(model.name())) {
                return null;
            }
            sum += model.suspended() ? 0 : measured.get(model.name()).memoryBytes;
        }
        return sum;
    }

    /** The originals of a model, with as many threads as it runs with. */
    private Screen.Original original(ModelPlan model) {
        StoreManifest manifest = workload.get(model.name()).store().manifest();
        ModelTable table = tableOf(model.name());
        double ms = table.overheadMs(model.threads());
        long bytes = 0;
        for (BlockRows segment : table.segments()) {
            for (OptionRow option : segment.options()) {
                if (option.name().equals(manifest.segment(segment.name()).original().name())) {
                    ms += option.latencyMs().get(model.threads());
                    bytes += option.memoryBytes();
                }
            }
        }
        return new Screen.Original(manifest.originalAccuracy(), ms, bytes);
    }

    private List<BlocksView.Piece> chain(ModelPlan model) {
        Set<String> loaded = new HashSet<>(last.loaded());
        List<BlocksView.Piece> pieces = new ArrayList<>();
        for (Segment segment : workload.get(model.name()).store().manifest().segments()) {
            String chosen = model.options().get(segment.name());
            Option option = chosen == null ? segment.original() : segment.option(chosen);
            boolean first = last.dropped().isEmpty(); // then all was loaded, and nothing stands out
            boolean switched = !first && loaded.contains(model.name() + "/" + segment.name() + "=" + chosen);
            pieces.add(new BlocksView.Piece(segment.name(), !segment.block(), option.sparsity(), option.precision(),
                    switched));
        }
        return pieces;
    }

    private ModelTable tableOf(String model) {
        for (ModelTable table : runtime.scheduler().tables()) {
            if (table.name().equals(model)) {
                return table;
            }
        }
        throw unknown(model);
    }

    private static AssertionError unknown(String model) {
        return new AssertionError("a plan names only models that it was made for, not " + model);
    }
}
