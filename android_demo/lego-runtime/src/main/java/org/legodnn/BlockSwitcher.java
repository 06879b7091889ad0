package org.legodnn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

import org.jspecify.annotations.Nullable;

/**
 * Brings models from one plan to the next. What changes is loaded, and what ran before stays loaded as far as memory
 * allows, so that going back to it loads nothing: TensorFlow Lite packs the weights of what it loads, which is most of
 * what a switch takes. Its methods are for one thread at a time.
 */
final class BlockSwitcher {
    private final Map<String, RunningModel> models;
    /** What is loaded but does not run; what was left first comes first. */
    private final Set<Kept> kept = new LinkedHashSet<>();
    /** What models and kept pieces may hold together, besides the budget's limit. */
    private long within = Long.MAX_VALUE;

    /** A piece of a model that is loaded but does not run. */
    private static final class Kept {
        final RunningModel model;
        final Choice choice;

        Kept(RunningModel model, Choice choice) {
            this.model = model;
            this.choice = choice;
        }

        long bytes() {
            return model.bytes(Collections.singleton(choice));
        }

        int poolThreads() {
            return model.poolThreads(choice);
        }

        @Override
        public boolean equals(@Nullable Object other) {
            return other instanceof Kept && ((Kept) other).model == model && ((Kept) other).choice.equals(choice);
        }

        @Override
        public int hashCode() {
            return 31 * model.hashCode() + choice.hashCode();
        }
    }

    /** @param models by name, in the order of plans */
    BlockSwitcher(Map<String, RunningModel> models) {
        this.models = models;
    }

    /**
     * Switch to a plan; if that fails everything is put back.
     *
     * @param old the plan that runs; null before the first
     * @param start when the search for the plan began
     */
    PlanSwitch goTo(Plan next, @Nullable Plan old, long start) {
        long planned = System.nanoTime();
        List<Change> changes = changes(next);
        List<Change> done = new ArrayList<>();
        try {
            for (Change change : changes) {
                models.get(change.model).change(change.after, next.get(change.model), change.beside);
                done.add(change);
            }
        } catch (RuntimeException | Error e) {
            putBack(done, old, e);
            dropFresh();
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
        keep(next);
        return new PlanSwitch(loaded, dropped, (planned - start) / 1e6, (System.nanoTime() - planned) / 1e6);
    }

    private void putBack(List<Change> done, @Nullable Plan old, Throwable failure) {
        for (int i = done.size() - 1; i >= 0 && old != null; i--) {
            Change change = done.get(i);
            try {
                models.get(change.model).change(change.before, old.get(change.model), change.beside);
            } catch (RuntimeException | Error e) {
                failure.addSuppressed(e); // that model stands still; its inferences say why
            }
        }
    }

    /** What a plan changes, in the order in which it is done, with room made for what is to be loaded. */
    private List<Change> changes(Plan next) {
        List<Change> changes = new ArrayList<>();
        Set<Kept> needed = new HashSet<>();
        long used = 0;
        long more = 0;
        for (RunningModel model : models.values()) {
            used += model.bytes(model.choices());
            Change change = model.changeTo(next.get(model.name));
            if (change != null) {
                changes.add(change);
                more += change.load;
                for (Choice choice : change.after) {
                    needed.add(new Kept(model, choice));
                }
            }
        }
        Long limit = next.budget().memoryBytes();
        if (limit != null) {
            drop(limit - used - more, needed);
        }
        return Change.inOrder(changes, used, limit);
    }

    /** Keep what ran before, as far as there is room beside a plan: never more than the plan itself holds. */
    private void keep(Plan plan) {
        Set<Kept> unused = unused();
        kept.retainAll(unused);
        kept.addAll(unused);
        Long limit = plan.budget().memoryBytes();
        long all = Math.min(limit == null ? Long.MAX_VALUE : limit, within);
        drop(Math.min(plan.memoryBytes(), all - plan.memoryBytes()), Collections.<Kept>emptySet());
    }

    private Set<Kept> unused() {
        Set<Kept> unused = new LinkedHashSet<>();
        for (RunningModel model : models.values()) {
            for (Choice choice : model.unused()) {
                unused.add(new Kept(model, choice));
            }
        }
        return unused;
    }

    /**
     * Let go of what was left first, until what is kept besides `needed` takes no more than so many bytes, nor more
     * threads in pools than one composition may.
     */
    private void drop(long bytes, Set<Kept> needed) {
        long sum = 0;
        int pooled = 0;
        for (Kept one : kept) {
            sum += needed.contains(one) ? 0 : one.bytes();
            pooled += needed.contains(one) ? 0 : one.poolThreads();
        }
        Iterator<Kept> oldest = kept.iterator();
        while ((sum > bytes || pooled > PoolThreads.MOST) && oldest.hasNext()) {
            Kept one = oldest.next();
            if (!needed.contains(one)) {
                sum -= one.bytes();
                pooled -= one.poolThreads();
                oldest.remove();
                one.model.drop(one.choice);
            }
        }
    }

    /** After a switch that failed: let go of what was loaded for it. */
    private void dropFresh() {
        for (Kept one : unused()) {
            if (!kept.contains(one)) {
                one.model.drop(one.choice);
            }
        }
        kept.retainAll(unused());
    }

    /** Keep pieces beside a running plan only as far as both together hold no more than so many bytes. */
    void keepWithin(long bytes, Plan running) {
        within = bytes;
        keep(running);
    }

    /** The memory of what is kept, as profiled. */
    long keptBytes() {
        long sum = 0;
        for (Kept one : kept) {
            sum += one.bytes();
        }
        return sum;
    }
}
