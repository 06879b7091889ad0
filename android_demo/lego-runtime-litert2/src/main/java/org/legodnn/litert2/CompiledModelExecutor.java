package org.legodnn.litert2;

import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

import com.google.ai.edge.litert.CompiledModel;
import com.google.ai.edge.litert.LiteRtException;
import com.google.ai.edge.litert.TensorBuffer;
import com.google.ai.edge.litert.TensorType;

import org.legodnn.BlockExecutor;
import org.legodnn.InferenceException;
import org.legodnn.Piece;
import org.legodnn.Store;
import org.legodnn.StoreException;
import org.legodnn.TensorSpec;

/**
 * Runs options by LiteRT 2's {@link CompiledModel}, on the CPU by XNNPACK. All options of a store are one model, whose
 * packed weights lie in a file that is mapped: the first time they are packed, and from then on a switch packs nothing
 * and reads nothing.
 *
 * <p>The options of a store share one pool of threads for each thread count. They run one at a time.
 */
public final class CompiledModelExecutor implements BlockExecutor {
    /** The version of LiteRT that this was written for, as the build files have it. */
    static final String LITERT = "2.1.5";
    /** What a store's folder has: its linked model, and packed weights as this version of LiteRT reads them. */
    static final String LINKED = "linked.tflite";
    static final String PACKED = "packed-" + LITERT;

    /** By the path of an option's file. */
    private final Map<String, Place> places = new HashMap<>();

    /** Where an option is. */
    private static final class Place {
        final LinkedStore store;
        final int number;

        Place(LinkedStore store, int number) {
            this.store = store;
            this.number = number;
        }
    }

    /**
     * Link the stores, unless they are linked there already. For a worker thread.
     *
     * @param folder where linked models and packed weights are kept, for this executor alone; a folder in the app's
     *     cache will do, since what is missing is made again. It takes about twice what the stores do; what it has of
     *     other stores or another version of LiteRT is removed before
     * @param stores all that it is to run
     * @throws StoreException a file of a store was altered, or cannot be linked; or the folder cannot be written
     */
    public CompiledModelExecutor(File folder, Store... stores) {
        Set<String> current = new HashSet<>();
        for (Store store : stores) {
            current.add(store.id());
        }
        removeOthers(folder, current); // first, since there may be no room for both
        for (Store store : stores) {
            try {
                add(new LinkedStore(store, new File(folder, store.id())));
            } catch (IOException e) {
                throw new StoreException("cannot link " + store + " in " + folder + ": " + e.getMessage()
                        + "; is the storage full?", e);
            }
        }
    }

    private void add(LinkedStore linked) throws IOException {
        linked.link();
        List<File> files = linked.files();
        for (int i = 0; i < files.size(); i++) {
            places.put(files.get(i).getCanonicalPath(), new Place(linked, i));
        }
    }

    /** Remove the folders of stores but some, and of those what is no more read. */
    private static void removeOthers(File folder, Set<String> current) {
        File[] found = folder.listFiles();
        for (File one : found == null ? new File[0] : found) {
            if (one.getName().matches("[0-9a-f]{64}")) {
                boolean other = !current.contains(one.getName());
                File[] inside = one.listFiles();
                for (File file : inside == null ? new File[0] : inside) {
                    if (other || !file.getName().equals(LINKED) && !file.getName().equals(PACKED)) {
                        file.delete();
                    }
                }
                if (other) {
                    one.delete();
                }
            }
        }
    }

    @Override
    public String name() {
        return "litert-compiled " + LITERT;
    }

    @Override
    public boolean sharesThreads() {
        return true;
    }

    @Override
    public Piece load(File tflite, int threads, TensorSpec[] in, TensorSpec[] out) {
        Place place;
        try {
            place = places.get(tflite.getCanonicalPath());
        } catch (IOException e) {
            throw new StoreException("cannot read " + tflite + ": " + e.getMessage(), e);
        }
        if (place == null) {
            throw new StoreException(tflite + " is of no store of this executor; name all stores when it is made");
        }
        SharedModel model = place.store.model(threads);
        LinkedPiece piece = null;
        try {
            synchronized (model) {
                CompiledModel compiled = model.hold();
                try {
                    piece = new LinkedPiece(model, compiled, place.number, in, out);
                    return piece;
                } finally {
                    if (piece == null) {
                        model.letGo();
                    }
                }
            }
        } catch (LiteRtException e) {
            throw new StoreException(tflite + " cannot be loaded (" + e.getMessage() + "); build the store again", e);
        } catch (IOException e) {
            throw new StoreException(tflite + " cannot be loaded (" + e.getMessage() + "); is the storage full?", e);
        }
    }

    /** One option of a linked model. */
    private static final class LinkedPiece implements Piece {
        private final SharedModel model;
        private final CompiledModel compiled;
        private final String signature;
        private final List<TensorBuffer> inputs = new ArrayList<>();
        private final List<TensorBuffer> outputs = new ArrayList<>();
        private final float[][] values;

        LinkedPiece(SharedModel model, CompiledModel compiled, int number, TensorSpec[] in, TensorSpec[] out)
                throws LiteRtException {
            this.model = model;
            this.compiled = compiled;
            this.signature = String.valueOf(number);
            this.values = new float[in.length][];
            for (int i = 0; i < in.length; i++) {
                check(in[i], compiled.getInputTensorType("x" + i, signature));
                values[i] = new float[in[i].elements()];
            }
            for (int i = 0; i < out.length; i++) {
                check(out[i], compiled.getOutputTensorType("y" + i, signature));
            }
            boolean done = false;
            try {
                inputs.addAll(compiled.createInputBuffers(signature));
                outputs.addAll(compiled.createOutputBuffers(signature));
                done = inputs.size() == in.length && outputs.size() == out.length;
                if (!done) {
                    throw new StoreException("an option has another number of tensors than the manifest says; "
                            + "build the store again");
                }
            } finally {
                if (!done) {
                    closeBuffers();
                }
            }
        }

        private static void check(TensorSpec spec, TensorType type) {
            TensorType.Layout layout = type.getLayout();
            List<Integer> found = layout == null ? Collections.<Integer>emptyList() : layout.getDimensions();
            List<Integer> wanted = new ArrayList<>(Collections.singletonList(1));
            for (int size : spec.shape()) {
                wanted.add(size);
            }
            if (type.getElementType() != TensorType.ElementType.FLOAT || !found.equals(wanted)) {
                throw new StoreException("an option has another tensor (" + type.getElementType() + found + " for "
                        + spec.name() + wanted + ") than the manifest says; build the store again");
            }
        }

        @Override
        public void run(ByteBuffer[] in, ByteBuffer[] out) {
            synchronized (model) {
                try {
                    for (int i = 0; i < in.length; i++) {
                        in[i].clear();
                        in[i].asFloatBuffer().get(values[i]);
                        inputs.get(i).writeFloat(values[i]);
                    }
                    compiled.run(inputs, outputs, signature);
                    for (int i = 0; i < out.length; i++) {
                        out[i].clear();
                        out[i].asFloatBuffer().put(outputs.get(i).readFloat());
                    }
                } catch (LiteRtException e) {
                    throw new InferenceException("an option failed while it ran: " + e.getMessage(), e);
                }
            }
        }

        private void closeBuffers() {
            for (TensorBuffer buffer : inputs) {
                buffer.close();
            }
            for (TensorBuffer buffer : outputs) {
                buffer.close();
            }
        }

        @Override
        public void close() {
            synchronized (model) {
                closeBuffers();
                model.letGo();
            }
        }
    }
}
