package org.legodnn.litert2;

import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;

import com.google.ai.edge.litert.Accelerator;
import com.google.ai.edge.litert.CompiledModel;
import com.google.ai.edge.litert.LiteRtException;

import org.jspecify.annotations.Nullable;

/**
 * A linked model, compiled while any of its options is loaded. Whoever uses it or what is compiled holds its monitor:
 * LiteRT's models are for one thread at a time.
 */
final class SharedModel {
    private final LinkedStore store;
    private final int threads;
    private @Nullable CompiledModel compiled;
    private int holders;

    SharedModel(LinkedStore store, int threads) {
        this.store = store;
        this.threads = threads;
    }

    /** What is compiled, for one more option that is loaded. */
    CompiledModel hold() throws LiteRtException, IOException {
        CompiledModel model = compiled;
        if (model == null) {
            synchronized (store) { // one packs weights, and what is compiled for other thread counts finds them
                model = compile();
            }
            compiled = model;
        }
        holders++;
        return model;
    }

    /** One option less is loaded. With the last one goes all that was compiled. */
    void letGo() {
        holders--;
        if (holders == 0 && compiled != null) {
            compiled.close();
            compiled = null;
        }
    }

    /**
     * Compile with packed weights. They are made in a file of another name, which is renamed when it is whole and on
     * disk, so that one that was cut short is never read. It is a version of LiteRT's own.
     */
    private CompiledModel compile() throws LiteRtException, IOException {
        File linked = store.link();
        File packed = new File(linked.getParentFile(), CompiledModelExecutor.PACKED);
        if (packed.isFile()) {
            return create(linked, packed);
        }
        File making = new File(packed.getPath() + ".part");
        making.delete();
        CompiledModel made = create(linked, making);
        boolean kept = false;
        try {
            if (making.isFile()) { // options without weights have none
                try (RandomAccessFile file = new RandomAccessFile(making, "rw")) {
                    file.getFD().sync();
                }
                if (!making.renameTo(packed)) {
                    throw new IOException("cannot rename " + making + " to " + packed.getName());
                }
            }
            kept = true;
        } finally {
            if (!kept) {
                made.close();
                making.delete();
            }
        }
        return made;
    }

    private CompiledModel create(File linked, File packed) throws LiteRtException {
        CompiledModel.Options options = new CompiledModel.Options(Accelerator.CPU);
        options.setCpuOptions(new CompiledModel.CpuOptions(threads, null, packed.getPath()));
        try {
            return CompiledModel.create(linked.getPath(), options);
        } catch (LiteRtException e) {
            linked.delete(); // so that the next try makes both anew
            packed.delete();
            throw e;
        }
    }
}
