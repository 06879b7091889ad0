package org.legodnn.camera

import android.Manifest
import android.graphics.Color
import android.os.Bundle
import android.view.Gravity
import android.widget.FrameLayout
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.contract.ActivityResultContracts
import androidx.camera.core.CameraSelector
import androidx.camera.core.ImageAnalysis
import androidx.camera.core.ImageProxy
import androidx.camera.core.Preview
import androidx.camera.lifecycle.ProcessCameraProvider
import androidx.camera.view.PreviewView
import java.io.File
import java.util.concurrent.Executors
import org.legodnn.Assets
import org.legodnn.LegoException
import org.legodnn.LegoModel
import org.legodnn.LegoRuntime
import org.legodnn.YuvFrame
import org.legodnn.governing.AndroidMonitor
import org.legodnn.governing.Governor

/** What a model takes the camera's picture for, within what the device can spare. */
class MainActivity : ComponentActivity() {
    /** Opens the store, infers and closes, one after the other. */
    private val worker = Executors.newSingleThreadExecutor()
    private lateinit var preview: PreviewView
    private lateinit var answer: TextView

    // The worker's own.
    private var model: LegoModel? = null
    private var runtime: LegoRuntime? = null
    private var governor: Governor? = null
    private var input = FloatArray(0)

    private val asking = registerForActivityResult(ActivityResultContracts.RequestPermission()) { granted ->
        if (granted) bindCamera() else answer.text = "this needs the camera"
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        preview = PreviewView(this)
        answer = TextView(this).apply {
            textSize = 24f
            setTextColor(Color.WHITE)
        }
        val centred = FrameLayout.LayoutParams(
            FrameLayout.LayoutParams.WRAP_CONTENT, FrameLayout.LayoutParams.WRAP_CONTENT, Gravity.CENTER,
        )
        setContentView(FrameLayout(this).apply {
            addView(preview)
            addView(answer, centred)
        })
        worker.execute { open() }
        asking.launch(Manifest.permission.CAMERA)
    }

    private fun open() {
        try {
            val workload = Assets.workload(assets, "workload.json", File(noBackupFilesDir, "stores"))
            val any = workload.models().first().onAnyDevice() // all those that are packed read digits
            val opened = LegoRuntime.builder().addModel(any).build()
            model = any
            runtime = opened
            input = FloatArray(any.store().manifest().inputs()[0].elements())
            governor = Governor(opened, AndroidMonitor(this))
        } catch (e: LegoException) {
            show(e.message)
        }
    }

    private fun bindCamera() {
        val cameras = ProcessCameraProvider.getInstance(this)
        cameras.addListener({
            if (!isDestroyed) { // the activity may have been left meanwhile
                bind(cameras.get())
            }
        }, { runOnUiThread(it) })
    }

    private fun bind(camera: ProcessCameraProvider) {
        val analysis = ImageAnalysis.Builder()
            .setBackpressureStrategy(ImageAnalysis.STRATEGY_KEEP_ONLY_LATEST)
            .build()
        analysis.setAnalyzer(worker) { image -> infer(image) }
        val shown = Preview.Builder().build().also { it.setSurfaceProvider(preview.surfaceProvider) }
        camera.bindToLifecycle(this, CameraSelector.DEFAULT_BACK_CAMERA, shown, analysis)
    }

    private fun infer(image: ImageProxy) {
        val frame = image.use { frameOf(it) }
        val asked = model ?: return
        val running = runtime ?: return
        try {
            val manifest = asked.store().manifest()
            manifest.inputs()[0].fromYuv(frame, input)
            val scores = running.infer(asked.table().name(), input)
            val best = scores.indices.maxByOrNull { scores[it] } ?: return
            show(manifest.labels().getOrElse(best) { "class $best" })
        } catch (e: LegoException) { // suspended under the current budget, say
            show(e.message)
        }
    }

    private fun frameOf(image: ImageProxy): YuvFrame {
        val (y, u, v) = image.planes.map { YuvFrame.Plane(it.buffer, it.rowStride, it.pixelStride) }
        val part = image.cropRect
        return YuvFrame(image.width, image.height, y, u, v)
            .crop(part.left, part.top, part.width(), part.height())
            .turned(image.imageInfo.rotationDegrees)
    }

    private fun show(words: String?) {
        runOnUiThread { answer.text = words }
    }

    override fun onStart() {
        super.onStart()
        worker.execute { governor?.start() }
    }

    override fun onStop() {
        worker.execute { governor?.stop() }
        super.onStop()
    }

    override fun onDestroy() {
        super.onDestroy() // no image comes after that
        worker.execute {
            governor?.close()
            runtime?.close()
        }
        worker.shutdown()
    }
}
