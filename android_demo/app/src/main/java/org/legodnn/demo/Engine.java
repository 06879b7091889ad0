package org.legodnn.demo;

import android.content.Context;
import android.graphics.Bitmap;
import android.os.SystemClock;
import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
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
import org.legodnn.RuntimeBuilder;
import org.legodnn.Store;
import org.legodnn.SwitchCharge;
import org.legodnn.TfLiteExecutor;
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
    private final List<Store> stores = new ArrayList<>();
    private final Map<String, Profile> profiles = new LinkedHashMap<>();
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
     * @param options how to profile
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
                audience.recognised(Digits.recognised(runtime, stores, digit));
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
            Packed packed = new Packed(context);
            for (String name : packed.models()) {
                stores.add(packed.store(name));
                profiles.put(name, packed.profile(name));
            }
            digits = packed.digits();
            Map<String, Profile> found = runs ? ownProfiles.load(stores, executor) : null;
            own = found != null;
            if (own) {
                profiles.putAll(found);
            }
            start();
        } catch (IOException | LegoException e) {
            audience.failed(e.getMessage());
        }
    }

    /** A runtime of the profiles in use, without limits. */
    private void start() {
        List<LegoModel> models = new ArrayList<>();
        RuntimeBuilder builder = LegoRuntime.builder().executor(executor)
                .switchCharge(SwitchCharge.NONE); // so that the sliders' positions alone say what runs
        for (Store store : stores) {
            LegoModel model = LegoModel.of(store, profiles.get(store.name()));
            models.add(own ? model : model.onAnyDevice());
            builder.addModel(models.get(models.size() - 1));
        }
        runtime = builder.build();
        problem = null;
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

    private void measureDevice() {
        if (runtime == null || closed) {
            return;
        }
        stopMeasuring();
        closeRuntime(); // nothing else is to run meanwhile
        long began = SystemClock.elapsedRealtime();
        String failed = null;
        try {
            Map<String, Profile> measured = new LinkedHashMap<>();
            for (Store store : stores) {
                File state = new File(context.getCacheDir(), store.name() + ".profiling.json");
                measured.put(store.name(), Profiler.profile(store, executor, options.withStateFile(state),
                        (what, done, total) -> {
                            audience.profiling(store.name(), done, total);
                            return !closed;
                        }));
            }
            ownProfiles.save(stores, measured);
            profiles.putAll(measured);
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

    /** Show the running plan, and measure it if it can be run. */
    private void measure() {
        String seen = problem == null && follower.isNearest() ? context.getString(R.string.nearest) : problem;
        MemoryMeter meter = options.memory() == null ? Device.MEMORY : options.memory();
        Measurement next = new Measurement(runtime, stores, digits, meter, seen, follower.spareBytes()) {
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
