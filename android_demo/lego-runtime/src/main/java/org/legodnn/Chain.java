package org.legodnn;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * One store, of which any options can be composed. All compositions share one pool of tensors, so they must not run at
 * the same time; and they share pieces, so only what changes is loaded. Changing what is loaded is for one thread at a
 * time.
 */
final class Chain {
    private final Store store;
    private final BlockExecutor executor;
    private final Map<String, ByteBuffer> tensors;
    private final Map<Choice, Piece> loaded = new LinkedHashMap<>();

    Chain(Store store, BlockExecutor executor) {
        this.store = store;
        this.executor = executor;
        this.tensors = Buffers.allocate(store.manifest());
    }

    /** One model, composed: its pieces in topological order, and the tensors that they read and write. */
    static final class Composition {
        final List<Choice> choices;
        private final Piece[] pieces;
        private final ByteBuffer[][] in;
        private final ByteBuffer[][] out;

        private Composition(List<Choice> choices) {
            this.choices = choices;
            this.pieces = new Piece[choices.size()];
            this.in = new ByteBuffer[pieces.length][];
            this.out = new ByteBuffer[pieces.length][];
        }

        void run() {
            for (int i = 0; i < pieces.length; i++) {
                run(i);
            }
        }

        /** Run one segment alone. */
        void run(int segment) {
            pieces[segment].run(in[segment], out[segment]);
        }
    }

    /** The buffer of a tensor; running a composition may overwrite it. */
    ByteBuffer tensor(String name) {
        return tensors.get(name);
    }

    /** Those of the choices that are not loaded. */
    private List<Choice> toLoad(Collection<Choice> choices) {
        List<Choice> missing = new ArrayList<>(choices);
        missing.removeAll(loaded.keySet());
        return missing;
    }

    /**
     * Load what is not loaded and compose it; earlier compositions stay as they are. If that fails nothing is changed.
     *
     * @throws StoreException a file is damaged, or not what the manifest says
     * @throws WorkloadException it would have too many threads in pools
     */
    Composition compose(List<Choice> choices) {
        String problem = choices.isEmpty() ? ""
                : PoolThreads.problem(executor, choices.size(), choices.get(0).threads);
        if (!problem.isEmpty()) {
            throw new WorkloadException(store.name() + ": " + problem);
        }
        Map<Choice, Piece> fresh = new LinkedHashMap<>();
        boolean done = false;
        try {
            for (Choice choice : toLoad(choices)) {
                fresh.put(choice, load(choice));
            }
            done = true;
        } finally {
            if (!done) {
                for (Piece piece : fresh.values()) {
                    piece.close();
                }
            }
        }
        loaded.putAll(fresh);
        Composition composition = new Composition(choices);
        for (int i = 0; i < choices.size(); i++) {
            Segment segment = store.manifest().segments.get(i);
            composition.pieces[i] = loaded.get(choices.get(i));
            composition.in[i] = buffers(segment.inputs);
            composition.out[i] = buffers(segment.outputs);
        }
        return composition;
    }

    private Piece load(Choice choice) {
        Segment segment = store.manifest().segment(choice.segment);
        return executor.load(store.verifiedFile(segment.option(choice.option)), choice.threads, specs(segment.inputs),
                specs(segment.outputs));
    }

    private TensorSpec[] specs(List<String> names) {
        TensorSpec[] specs = new TensorSpec[names.size()];
        for (int i = 0; i < specs.length; i++) {
            specs[i] = store.manifest().specs.get(names.get(i));
        }
        return specs;
    }

    private ByteBuffer[] buffers(List<String> names) {
        ByteBuffer[] buffers = new ByteBuffer[names.size()];
        for (int i = 0; i < buffers.length; i++) {
            buffers[i] = tensors.get(names.get(i));
        }
        return buffers;
    }

    /** All that is loaded. */
    List<Choice> loaded() {
        return new ArrayList<>(loaded.keySet());
    }

    /** Let go of one choice, of which no composition may be run any more. */
    void drop(Choice choice) {
        Piece piece = loaded.remove(choice);
        if (piece != null) {
            piece.close();
        }
    }

    /** Let go of everything but some choices; only compositions of these may be run again. */
    void retain(Collection<Choice> choices) {
        Iterator<Map.Entry<Choice, Piece>> all = loaded.entrySet().iterator();
        while (all.hasNext()) {
            Map.Entry<Choice, Piece> one = all.next();
            if (!choices.contains(one.getKey())) {
                all.remove();
                one.getValue().close();
            }
        }
    }
}
