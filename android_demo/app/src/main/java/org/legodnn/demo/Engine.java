package org.legodnn.demo;

import android.content.Context;
import android.graphics.Bitmap;
import android.os.SystemClock;
import java.io.File;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.legodnn.AndroidConditions;
import org.legodnn.BlockExecutor;
import org.legodnn.Budget;
import org.legodnn.Device;
import org.legodnn.InfeasibleException;
import org.legodnn.LegoException;
import org.legodnn.LegoModel;
import org.legodnn.LegoRuntime;
import org.legodnn.MemoryMeter;
import org.legodnn.Profile;
import org.legodnn.Profiler;
import org.legodnn.ProfilerOptions;
import org.legodnn.SwitchCharge;
import org.legodnn.TfLiteExecutor;
import org.legodnn.Workload;
import org.tensorflow.lite.TensorFlowLite;

/**
 * Everything behind the screen; outlives rotations. Plans, switches and profiles on one thread, measures on another,
 * and tells the listener on the main thread. Of budgets that come faster than they can be planned only the last counts.
 */
final class Engine {
    /** Called on the main thread; a listener that is set later is told the latest of each again. */
    interface Listener {
        /** The stores are open and a plan runs. */
        void onReady(Ready ready);

        void onScreen(Screen screen);

        /** Profiling goes on; `done` of `total` steps of a model. */
        void onProfiling(String model, int done, int total);

        /**
         * Profiles of this device are in use, and can be shared; `failure` says why not, else it is null.
         *
         * @param seconds how long that took
         */
        void onProfiled(String failure, long seconds);

        /** What each model takes a drawn digit for, in one line. */
        void onRecognised(String words);

        void onFailed(String reason);
    }

    private final Context context;
    private final BlockExecutor executor;
    private final boolean runs;
    private final ProfilerOptions options;
    private final OwnProfiles ownProfiles;
    private final Audience audience = new Audience();
    /** What is asked for after {@link #close} is dropped. */
    private final ExecutorService planning = new ThreadPoolExecutor(1, 1, 0, TimeUnit.SECONDS,
            new LinkedBlockingQueue<Runnable>(), new ThreadPoolExecutor.DiscardPolicy());
    private final ExecutorService measuring = Executors.newSingleThreadExecutor();
    private final AtomicReference<Budget> wanted = new AtomicReference<>();

    // The planning thread's own.
    private Workload packed;
    private Workload workload;
    private Digits digits;
    private String problem;
    private boolean own;
    private boolean following;
    private final Follower follower;
    private LegoRuntime runtime;

    private volatile Measurement measurement;
    private volatile boolean closed;

    /** By TensorFlow Lite; where that cannot be loaded, plans are made and nothing is run. */
    Engine(Context context, ProfilerOptions options) {
        this(context, nativeLibraryLoads() ? new TfLiteExecutor() : null, options);
    }

    /**
     * @param executor null to plan only
     * @param options how to profile; thread counts are those of the packed profiles
     */
    Engine(Context context, BlockExecutor executor, ProfilerOptions options) {
        this.context = context.getApplicationContext();
        this.executor = executor == null ? new PlanOnlyExecutor() : executor;
        this.runs = executor != null;
        this.options = options.withConditions(new AndroidConditions(this.context));
        this.ownProfiles = new OwnProfiles(this.context);
        this.follower = new Follower(this.context, planning, this::decided);
        planning.execute(this::open);
    }

    static boolean nativeLibraryLoads() {
        try {
            TensorFlowLite.init();
            return true;
        } catch (UnsatisfiedLinkError e) {
            return false;
        }
    }

    /** Tell this listener from now on; null for none. On the main thread. */
    void setListener(Listener next) {
        audience.set(next);
    }

    /** This device's profiles as JSON, by model; empty until it was profiled. On the main thread. */
    Map<String, String> ownProfiles() {
        return audience.ownProfiles();
    }

    /** Re-plan and switch. */
    void setBudget(Budget budget) {
        if (wanted.getAndSet(budget) == null && !closed) {
            planning.execute(() -> replan(wanted.getAndSet(null)));
        }
    }

    /** Whether to stay within what the device can spare as well. */
    void follow(boolean wished) {
        planning.execute(() -> {
            following = wished;
            if (runtime == null || closed) {
                return;
            }
            stopMeasuring();
            try {
                startOrStopFollowing();
            } catch (LegoException e) {
                audience.failed(e.getMessage());
            }
            measure();
        });
    }

    /** Measure every option on this device, keep the profiles, and plan by them. */
    void profile() {
        planning.execute(this::measureDevice);
    }

    /** Ask every model what digit this is. */
    void recognise(Bitmap digit) {
        planning.execute(() -> {
            if (runtime == null || !runs || closed) {
                return;
            }
            try {
                audience.recognised(Digits.recognised(runtime, workload.models(), digit));
            } catch (LegoException e) {
                audience.failed(e.getMessage());
            }
        });
    }

    /** Let go of everything, once what runs has ended. */
    void close() {
        closed = true;
        audience.set(null);
        stopMeasuring();
        planning.execute(() -> {
            stopMeasuring(); // of a plan that was made meanwhile
            closeRuntime();
            measuring.shutdown();
        });
        planning.shutdown();
    }

    // -- on the planning thread ---------------------------------------------------------------------------------------

    private void open() {
        try {
            Packed content = new Packed(context);
            packed = content.workload();
            workload = packed;
            digits = content.digits();
            Workload found = runs ? ownProfiles.load(packed, executor) : null;
            own = found != null;
            workload = own ? found : onAnyDevice(packed);
            start();
        } catch (IOException | LegoException e) {
            audience.failed(e.getMessage());
        }
    }

    private static Workload onAnyDevice(Workload packed) {
        Workload any = packed;
        for (LegoModel model : packed.models()) {
            any = any.withModel(model.onAnyDevice());
        }
        return any;
    }

    /** A runtime of the profiles in use, without limits: the sliders' positions alone say what runs. */
    private void start() {
        runtime = LegoRuntime.builder().executor(executor).workload(workload).budget(Budget.none())
                .switchCharge(SwitchCharge.NONE).build();
        problem = null;
        List<LegoModel> models = workload.models();
        audience.ready(new Ready(new Limits(models, runtime.plan()), runs, models, own));
        startOrStopFollowing();
        measure();
    }

    private void startOrStopFollowing() {
        if (following) {
            follower.start(runtime);
        } else {
            follower.undo();
        }
    }

    /** The device has another limit. */
    private void decided() {
        if (!closed) {
            stopMeasuring();
            measure();
        }
    }

    private void closeRuntime() {
        follower.stop();
        if (runtime != null) {
            runtime.close();
            runtime = null; // if the next one cannot be opened, nothing more is asked of this one
        }
    }

    private void replan(Budget budget) {
        if (runtime == null || closed || budget == null) {
            return;
        }
        stopMeasuring();
        try {
            follower.setBudget(runtime, budget);
            problem = null;
        } catch (InfeasibleException e) {
            problem = context.getString(R.string.refused, Explanation.of(e.report(), context.getResources()));
        } catch (LegoException e) {
            problem = context.getString(R.string.refused, e.getMessage());
        }
        measure();
    }

    /** Also where no runtime could be opened after the last time, since it may be now. */
    private void measureDevice() {
        if (workload == null || closed) {
            return;
        }
        stopMeasuring();
        closeRuntime(); // nothing else is to run meanwhile
        long began = SystemClock.elapsedRealtime();
        String failed = null;
        try {
            Workload measured = workload;
            for (LegoModel model : workload.models()) {
                File state = new File(context.getCacheDir(), model.store().name() + ".profiling.json");
                ProfilerOptions how = options.withThreads(threads(model)).withStateFile(state);
                Profile profile = Profiler.profile(model.store(), executor, how,
                        (what, done, total) -> {
                            audience.profiling(model.table().name(), done, total);
                            return !closed;
                        });
                measured = measured.withModel(model.withProfile(profile));
            }
            ownProfiles.save(measured);
            workload = measured;
            own = true;
        } catch (LegoException e) {
            failed = e.getMessage();
        }
        if (closed) {
            return;
        }
        try {
            start();
        } catch (LegoException e) {
            audience.failed(e.getMessage());
            return;
        }
        audience.profiled(failed, (SystemClock.elapsedRealtime() - began) / 1000);
    }

    /**
     * The thread counts that plans may choose by the packed profiles, so that they still may by this device's own; of
     * those that the workload leaves open no more than it has processors.
     */
    private int[] threads(LegoModel model) {
        List<Integer> counts = packed.get(model.table().name()).table().threadCounts();
        int cores = Runtime.getRuntime().availableProcessors();
        int[] useful = counts.stream().mapToInt(count -> count).filter(count -> count <= cores).toArray();
        return useful.length > 0 ? useful : new int[] {counts.get(0)};
    }

    /** Show the running plan, and measure it if it can be run. */
    private void measure() {
        String seen = problem == null && follower.isNearest() ? context.getString(R.string.nearest) : problem;
        MemoryMeter meter = options.memory() == null ? Device.MEMORY : options.memory();
        Measurement next = new Measurement(runtime, workload, digits, meter, seen, follower.spareBytes()) {
            @Override
            void onScreen(Screen screen) {
                audience.screen(this, screen);
            }

            @Override
            void onFailed(LegoException e) {
                audience.failed(e.getMessage());
            }
        };
        measurement = next;
        next.publish();
        if (runs) {
            measuring.execute(next);
        }
    }

    private void stopMeasuring() {
        if (measurement != null) {
            measurement.stop();
        }
    }
}
