package org.legodnn.governing;

import java.io.Closeable;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;
import java.util.logging.Logger;

import org.jspecify.annotations.Nullable;
import org.legodnn.Budget;
import org.legodnn.ClosedException;
import org.legodnn.Infeasible;
import org.legodnn.InferenceListener;
import org.legodnn.LegoException;
import org.legodnn.LegoRuntime;
import org.legodnn.ModelPlan;
import org.legodnn.Plan;
import org.legodnn.Tail;
import org.legodnn.WorkloadException;

/**
 * Keeps a runtime's budget in step with what the device can spare. Once a second it reads the device, decides on a
 * budget ({@link Policy}), and if that has changed the runtime re-plans and switches. It also watches how long
 * inferences take, the slowest ones too, so that contention and heat count. Where no plan holds the limits the nearest
 * one runs; where a block cannot be loaded the old plan runs on, and the switch is tried again. Every decision is
 * logged with its reason.
 *
 * <pre>
 * Governor governor = new Governor(runtime, new AndroidMonitor(context));
 * governor.start();  // in onStart
 * governor.stop();   // in onStop
 * </pre>
 *
 * The budget that the runtime has when the governor is made is the application's own, and no decision is ever wider;
 * {@link #setBudget} sets another one. Where a governor before narrowed it, what that one took for the application's
 * own is meant.
 */
public final class Governor implements Closeable {
    private static final Logger LOGGER = Logger.getLogger("legodnn.governor");
    private static final double RETRY_S = 10;
    private static final long INTERVAL_MS = 1000;

    private final LegoRuntime runtime;
    private final DeviceMonitor monitor;
    private final Policy policy;
    private final SlowdownTracker slowdowns;
    private final TailTracker tails;
    private final Observer observer = new Observer();
    private volatile @Nullable DecisionListener listener;
    /** Held while a decision is taken and applied. */
    private final Object stepping = new Object();
    private Demand demand;
    private PolicyState state = PolicyState.NONE;
    private double retryS;
    /** Guards the thread, and that none is started once it is closed; never held while one steps. */
    private final Object life = new Object();
    private volatile boolean closed;
    private @Nullable Thread thread;
    private boolean woken;

    /** Watches inferences, and tells whom the runtime would have told without it. */
    private final class Observer implements InferenceListener {
        private volatile @Nullable InferenceListener before;

        @Override
        public void onInference(ModelPlan plan, double latencyMs) {
            Double ratio = slowdowns.add(plan, latencyMs);
            if (ratio != null) {
                tails.add(plan, ratio);
            }
            InferenceListener told = before;
            if (told != null) {
                told.onInference(plan, latencyMs);
            }
        }
    }

    /** A governor that is not started, with the default policy. */
    public Governor(LegoRuntime runtime, DeviceMonitor monitor) {
        this(runtime, monitor, Policy.DEFAULT);
    }

    /**
     * A governor that is not started.
     *
     * @param runtime whose models are governed; no other governor's
     * @param monitor reads the device
     * @param policy how to decide
     * @throws ClosedException the runtime is closed
     */
    public Governor(LegoRuntime runtime, DeviceMonitor monitor, Policy policy) {
        this.runtime = runtime;
        this.monitor = monitor;
        this.policy = policy;
        this.slowdowns = new SlowdownTracker(runtime.scheduler().tables());
        this.tails = new TailTracker(runtime.scheduler().tables());
        Budget left = runtime.ownBudget(); // by another governor, whose last decision runs still
        this.demand = Demand.of(runtime.scheduler(), left == null ? runtime.budget() : left);
        this.retryS = left == null ? Double.POSITIVE_INFINITY : Double.NEGATIVE_INFINITY;
    }

    /** Tell of every decision that was applied, from now on; null for no one. */
    public void setListener(@Nullable DecisionListener next) {
        listener = next;
    }

    /**
     * What was learned of a model's tail in use, by thread count; empty if it ran too seldom, or if its profile is of
     * another device: multiples of what that one would take belong neither into its profile nor into this one's.
     */
    public List<Tail> learned(String model) {
        return runtime.isProfiledHere(model) ? tails.tails(model) : Collections.<Tail>emptyList();
    }

    /**
     * Read the device, decide, and apply the decision if it changes anything. The thread does this once a second.
     * For a worker thread.
     *
     * @throws ClosedException the governor or the runtime is closed
     */
    public Decision step() {
        Step step;
        synchronized (stepping) {
            step = step(false);
        }
        return step.told();
    }

    /**
     * Take another budget as the application's own, decide, and apply the decision; if that fails nothing changes.
     * For a worker thread.
     *
     * @param budget the widest that the runtime is to have from now on
     * @throws org.legodnn.InfeasibleException no plan holds it, whatever the device can spare
     * @throws WorkloadException it names models that are not here
     * @throws ClosedException the governor or the runtime is closed
     */
    public Decision setBudget(Budget budget) {
        Step step;
        synchronized (stepping) {
            checkOpen();
            runtime.scheduler().plan(budget);
            Demand before = demand;
            demand = Demand.of(runtime.scheduler(), budget);
            boolean done = false;
            try {
                step = step(true);
                done = true;
            } finally {
                demand = done ? demand : before;
            }
        }
        return step.told();
    }

    /** A decision, and who is to be told of it once the next one may be taken: it may ask for another. */
    private static final class Step {
        final Decision decision;
        final Runnable tell;

        Step(Decision decision, Runnable tell) {
            this.decision = decision;
            this.tell = tell;
        }

        Decision told() {
            tell.run();
            return decision;
        }
    }

    /** Read, decide and apply; `anew` applies even what changes nothing of what the device can spare. */
    private Step step(boolean anew) {
        checkOpen();
        Readings readings = monitor.read();
        Plan plan = runtime.plan();
        // Pieces that are kept but do not run can be let go at once, so their memory is to be had.
        Readings spare = readings.withAvailable(readings.memoryAvailableBytes + runtime.keptBytes());
        List<String> suspended = plan.suspended();
        for (String name : suspended) {
            slowdowns.rest(name);
            tails.rest(name);
        }
        Situation situation = new Situation(
                spare, plan.memoryBytes(), slowdowns.ratios(policy.observations), excesses(plan), suspended);
        slowdowns.judged();
        tails.judged();
        Deciding.Next next = Deciding.decide(policy, demand, state, situation);
        state = next.state;
        boolean changed = anew || !next.decision.changes().isEmpty() || readings.timeS >= retryS;
        if (changed) {
            retryS = readings.timeS + RETRY_S; // unless it is applied: whatever fails, the decision is not lost
        }
        runtime.keepWithin((long) state.memory.value());
        return new Step(next.decision, changed ? apply(next.decision, readings) : () -> { });
    }

    private void checkOpen() {
        if (closed) {
            throw new ClosedException("this governor is closed; make a new one");
        }
    }

    private Map<String, Double> excesses(Plan plan) {
        Map<String, Double> found = new LinkedHashMap<>();
        for (ModelPlan model : plan.models()) {
            Double excess = model.latencyLimitMs() == null || model.suspended() ? null : tails.excess(model);
            if (excess != null) {
                found.put(model.name(), excess);
            }
        }
        return found;
    }

    /** Apply a decision as far as possible; returns what tells the listener of it. */
    private Runnable apply(Decision decision, Readings readings) {
        Outcome outcome = Outcome.APPLIED;
        String message = "";
        try {
            Infeasible why = runtime.replanNearest(
                    decision.budget(), decision.slowdown(), decision.tail(), demand.budget);
            if (why != null) {
                outcome = Outcome.NEAREST;
                message = why.toString();
            }
        } catch (ClosedException e) {
            throw e;
        } catch (LegoException e) {
            outcome = Outcome.KEPT;
            message = String.valueOf(e.getMessage());
        }
        if (outcome != Outcome.KEPT) {
            retryS = Double.POSITIVE_INFINITY;
        }
        Plan plan = runtime.plan();
        LOGGER.log(outcome == Outcome.APPLIED ? Level.INFO : Level.WARNING,
                DecisionLog.line(decision, readings, outcome, message, plan));
        Outcome came = outcome;
        String wrong = message;
        return () -> {
            DecisionListener told = listener;
            if (told != null) {
                told.onDecision(decision, came, wrong, plan);
            }
        };
    }

    /**
     * Start the thread, which takes its first decision at once, and watch inferences; once is enough. The runtime's
     * inference listener, if there is one, is told of inferences as before.
     *
     * @throws WorkloadException another governor governs this runtime; two would undo each other's decisions
     * @throws ClosedException the governor is closed
     */
    public void start() {
        synchronized (life) {
            checkOpen();
            if (thread != null) {
                return;
            }
            InferenceListener before = runtime.inferenceListener();
            if (before instanceof Observer && before != observer) {
                throw new WorkloadException("another governor governs this runtime; stop it first, or use it");
            }
            if (before != observer) {
                observer.before = before;
                runtime.setInferenceListener(observer);
            }
            monitor.start(new Runnable() {
                @Override
                public void run() {
                    wake();
                }
            });
            thread = new Thread("legodnn-governor") {
                @Override
                public void run() {
                    repeat();
                }
            };
            thread.setDaemon(true);
            thread.start();
        }
    }

    /** Read the device and decide now and not only within a second. */
    private void wake() {
        synchronized (life) {
            woken = true;
            life.notifyAll();
        }
    }

    private void repeat() {
        try {
            boolean goesOn = true;
            while (goesOn && isCurrent()) {
                try {
                    step();
                } catch (ClosedException e) {
                    return;
                } catch (RuntimeException | Error e) {
                    // Of an app's own monitor or listener, say, or for want of memory; without the thread nothing would
                    // govern.
                    LOGGER.log(Level.SEVERE, "a step of the governor failed: " + e, e);
                }
                goesOn = sleep();
            }
        } finally {
            end(Thread.currentThread());
        }
    }

    /** A thread that has ended by itself is none any more, so that another one can be started. */
    private void end(Thread ended) {
        synchronized (life) {
            if (thread == ended) {
                thread = null;
                monitor.stop();
            }
        }
    }

    private boolean isCurrent() {
        synchronized (life) {
            return Thread.currentThread() == thread;
        }
    }

    /** Wait for the next reading; false if the thread was interrupted. */
    private boolean sleep() {
        long end = System.nanoTime() + INTERVAL_MS * 1_000_000;
        synchronized (life) {
            for (long left = INTERVAL_MS; left > 0 && !woken && Thread.currentThread() == thread;
                    left = (end - System.nanoTime()) / 1_000_000) {
                try {
                    life.wait(left);
                } catch (InterruptedException e) {
                    return false;
                }
            }
            woken = false;
            return true;
        }
    }

    /** Stop the thread and watching inferences, until it is started again. The runtime keeps the budget that it has. */
    public void stop() {
        synchronized (life) {
            if (thread != null) {
                thread = null;
                life.notifyAll();
                monitor.stop();
            }
            if (runtime.inferenceListener() == observer) { // not after another thread has started it again
                runtime.setInferenceListener(observer.before);
            }
        }
    }

    /**
     * Stop, wait for a decision that is being applied, and free the runtime for other budgets. Once is enough.
     * For a worker thread.
     */
    @Override
    public void close() {
        synchronized (life) {
            closed = true;
            stop();
        }
        synchronized (stepping) {
            // a decision that was being applied has ended
        }
    }
}
