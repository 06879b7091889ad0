package org.legodnn.demo;

import android.content.Context;
import android.os.Handler;
import android.os.Looper;
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
import org.legodnn.Budget;
import org.legodnn.Device;
import org.legodnn.BlockExecutor;
import org.legodnn.InfeasibleException;
import org.legodnn.LegoException;
import org.legodnn.LegoModel;
import org.legodnn.LegoRuntime;
import org.legodnn.Profile;
import org.legodnn.ProfileException;
import org.legodnn.Profiler;
import org.legodnn.ProfilerOptions;
import org.legodnn.Progress;
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

        /** Profiles of this device are in use, and can be shared; `failure` says why not, else it is null. */
        void onProfiled(String failure);

        void onFailed(String reason);
    }

    /** What is known once the stores are open. */
    static final class Ready {
        final Limits limits;
        /** False if TensorFlow Lite's native library is missing: nothing can be run, measured or profiled. */
        final boolean runs;
        /** What the predictions were measured on. */
        final Profile profile;
        /** Whether that is this device. */
        final boolean own;

        Ready(Limits limits, boolean runs, Profile profile, boolean own) {
            this.limits = limits;
            this.runs = runs;
            this.profile = profile;
            this.own = own;
        }
    }

    private final Context context;
    private final Handler main = new Handler(Looper.getMainLooper());
    private final BlockExecutor executor;
    private final boolean runs;
    private final ProfilerOptions options;
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
    private final MemoryFollower follower;
    private LegoRuntime runtime;

    private volatile Measurement measurement;
    private volatile boolean closed;

    // The main thread's own.
    private Listener listener;
    private Ready ready;
    private Screen screen;
    private String failure;

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
        this.options = options;
        this.follower = new MemoryFollower(this.context, planning, new FollowListener());
        planning.execute(new Runnable() {
            @Override
            public void run() {
                open();
            }
        });
    }

    /** Tell this listener from now on; null for none. On the main thread. */
    void setListener(Listener next) {
        listener = next;
        if (next == null) {
            return;
        }
        if (failure != null) {
            next.onFailed(failure);
        }
        if (ready != null) {
            next.onReady(ready);
        }
        if (screen != null) {
            next.onScreen(screen);
        }
    }

    /** Re-plan and switch. */
    void setBudget(Budget budget) {
        if (wanted.getAndSet(budget) == null && !closed) {
            planning.execute(new Runnable() {
                @Override
                public void run() {
                    replan(wanted.getAndSet(null));
                }
            });
        }
    }

    /** Whether to stay within what the device can spare as well. */
    void follow(final boolean wished) {
        planning.execute(new Runnable() {
            @Override
            public void run() {
                following = wished;
                if (runtime == null || closed) {
                    return;
                }
                stopMeasuring();
                try {
                    startOrStopFollowing();
                } catch (LegoException e) {
                    fail(e);
                }
                measure();
            }
        });
    }

    /** Measure every option on this device, keep the profiles, and plan by them. */
    void profile() {
        planning.execute(new Runnable() {
            @Override
            public void run() {
                measureDevice();
            }
        });
    }

    /** This device's profiles as JSON, by model; empty until it was profiled. On the main thread. */
    Map<String, String> ownProfiles() {
        Map<String, String> texts = new LinkedHashMap<>();
        if (ready != null && ready.own) {
            synchronized (profiles) {
                for (Map.Entry<String, Profile> entry : profiles.entrySet()) {
                    texts.put(entry.getKey(), entry.getValue().toJson());
                }
            }
        }
        return texts;
    }

    /** Let go of everything, once what runs has ended. */
    void close() {
        closed = true;
        listener = null;
        stopMeasuring();
        planning.execute(new Runnable() {
            @Override
            public void run() {
                stopMeasuring(); // of a plan that was made meanwhile
                closeRuntime();
                measuring.shutdown();
            }
        });
        planning.shutdown();
    }

    // -- on the planning thread ---------------------------------------------------------------------------------------

    private void open() {
        try {
            Packed packed = new Packed(context);
            for (String name : packed.models()) {
                stores.add(packed.store(name));
            }
            digits = packed.digits();
            own = runs && loadOwnProfiles();
            if (!own) {
                for (Store store : stores) {
                    profiles.put(store.name(), packed.profile(store.name()));
                }
            }
            start();
        } catch (IOException | LegoException e) {
            fail(e);
        }
    }

    static boolean nativeLibraryLoads() {
        try {
            TensorFlowLite.init();
            return true;
        } catch (UnsatisfiedLinkError e) {
            return false;
        }
    }

    private File profileFile(Store store) {
        return new File(context.getFilesDir(), store.name() + ".profile.json");
    }

    /** Whether there are profiles of this device for all stores, which then are in use. */
    private boolean loadOwnProfiles() {
        Map<String, Profile> found = new LinkedHashMap<>();
        for (Store store : stores) {
            File file = profileFile(store);
            if (!file.exists()) {
                return false;
            }
            try {
                Profile profile = Profile.load(file);
                profile.checkStore(store);
                profile.checkDevice(Device.fingerprint(executor));
                found.put(store.name(), profile);
            } catch (ProfileException e) {
                return false; // of another version of the app or of its stores: to be measured again
            }
        }
        synchronized (profiles) {
            profiles.putAll(found);
        }
        return true;
    }

    /** A runtime of the profiles in use, without limits. */
    private void start() {
        List<LegoModel> models = new ArrayList<>();
        for (Store store : stores) {
            LegoModel model = LegoModel.of(store, profiles.get(store.name()));
            models.add(own ? model : model.onAnyDevice());
        }
        runtime = new LegoRuntime(executor, models, SwitchCharge.NONE, Budget.none());
        problem = null;
        final Ready now = new Ready(new Limits(models, runtime.plan()), runs,
                profiles.get(stores.get(0).name()), own);
        main.post(new Runnable() {
            @Override
            public void run() {
                ready = now;
                if (listener != null) {
                    listener.onReady(now);
                }
            }
        });
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

    private final class FollowListener implements MemoryFollower.Listener {
        @Override
        public void onSpareMemory() {
            if (!closed) {
                stopMeasuring();
                measure();
            }
        }

        @Override
        public void onFailed(LegoException failed) {
            if (!closed) {
                fail(failed);
            }
        }
    }

    private void closeRuntime() {
        follower.stop();
        if (runtime != null) {
            runtime.close();
        }
    }

    private void replan(Budget budget) {
        if (runtime == null || closed || budget == null) {
            return;
        }
        stopMeasuring();
        try {
            runtime.setBudget(budget);
            problem = null;
        } catch (InfeasibleException e) {
            problem = Explanation.of(e.report(), context.getResources());
        } catch (LegoException e) {
            problem = e.getMessage();
        }
        measure();
    }

    private void measureDevice() {
        if (runtime == null || closed) {
            return;
        }
        stopMeasuring();
        closeRuntime(); // nothing else is to run meanwhile
        String failed = null;
        try {
            Map<String, Profile> measured = new LinkedHashMap<>();
            for (final Store store : stores) {
                measured.put(store.name(),
                        Profiler.profile(store, executor, options, new Progress() {
                            @Override
                            public boolean step(String what, final int done, final int total) {
                                main.post(new Runnable() {
                                    @Override
                                    public void run() {
                                        if (listener != null) {
                                            listener.onProfiling(store.name(), done, total);
                                        }
                                    }
                                });
                                return !closed;
                            }
                        }));
            }
            for (Store store : stores) {
                measured.get(store.name()).save(profileFile(store));
            }
            synchronized (profiles) {
                profiles.putAll(measured);
            }
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
            fail(e);
            return;
        }
        final String outcome = failed;
        main.post(new Runnable() {
            @Override
            public void run() {
                if (listener != null) {
                    listener.onProfiled(outcome);
                }
            }
        });
    }

    /** Show the running plan, and measure it if it can be run. */
    private void measure() {
        Measurement next = new Measurement(runtime, stores, digits, problem, follower.spareBytes()) {
            @Override
            void onScreen(Screen screen) {
                show(this, screen);
            }

            @Override
            void onFailed(LegoException e) {
                fail(e);
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

    private void show(final Measurement source, final Screen now) {
        main.post(new Runnable() {
            @Override
            public void run() {
                if (source.isStopped()) {
                    return; // of a plan that no longer runs
                }
                screen = now;
                if (listener != null) {
                    listener.onScreen(now);
                }
            }
        });
    }

    private void fail(Exception e) {
        final String reason = e.getMessage();
        main.post(new Runnable() {
            @Override
            public void run() {
                failure = reason;
                if (listener != null) {
                    listener.onFailed(reason);
                }
            }
        });
    }
}
