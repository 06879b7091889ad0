package org.legodnn.litert2;

import java.io.File;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

import org.legodnn.Option;
import org.legodnn.Segment;
import org.legodnn.Store;
import org.legodnn.internal.tflite.LinkedModel;

/** The options of a store as one file, and what is compiled of it for each thread count. */
final class LinkedStore {
    private final Store store;
    private final File folder;
    private final Map<Integer, SharedModel> models = new ConcurrentHashMap<>();

    LinkedStore(Store store, File folder) {
        this.store = store;
        this.folder = folder;
    }

    /** The files of all options, verified, in the order of the linked model's signatures. */
    List<File> files() {
        List<File> files = new ArrayList<>();
        for (Segment segment : store.manifest().segments()) {
            for (Option option : segment.options()) {
                files.add(store.verifiedFile(option));
            }
        }
        return files;
    }

    /** The linked model, which is written if it is not there, or has been cleared away since. */
    synchronized File link() throws IOException {
        if (!folder.mkdirs() && !folder.isDirectory()) {
            throw new IOException("cannot make the folder " + folder);
        }
        File linked = new File(folder, CompiledModelExecutor.LINKED);
        if (!linked.isFile()) {
            LinkedModel.write(files(), linked);
        }
        return linked;
    }

    /** What is compiled for a thread count. */
    SharedModel model(int threads) {
        SharedModel made = new SharedModel(this, threads);
        SharedModel there = models.putIfAbsent(threads, made);
        return there == null ? made : there;
    }
}
