import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Security;
import org.bouncycastle.cert.X509CRLHolder;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.ocsp.BasicOCSPResp;
import org.bouncycastle.cert.ocsp.CertificateID;
import org.bouncycastle.cert.ocsp.CertificateStatus;
import org.bouncycastle.cert.ocsp.OCSPReq;
import org.bouncycastle.cert.ocsp.OCSPReqBuilder;
import org.bouncycastle.cert.ocsp.OCSPResp;
import org.bouncycastle.cert.ocsp.RevokedStatus;
import org.bouncycastle.cert.ocsp.SingleResp;
import org.bouncycastle.asn1.DEROctetString;
import org.bouncycastle.asn1.ocsp.OCSPObjectIdentifiers;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.Extensions;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.ContentVerifierProvider;
import org.bouncycastle.operator.DigestCalculator;
import org.bouncycastle.operator.jcajce.JcaContentVerifierProviderBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;

/** Reads lists and asks the status responder with BouncyCastle: {@code URL (ISSUER CERTIFICATE CRL)…}, DER files. */
public class StatusReader {
    public static void main(String[] words) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        for (int at = 1; at < words.length; at += 3) {
            X509CertificateHolder issuer = new X509CertificateHolder(Files.readAllBytes(Path.of(words[at])));
            crl(issuer, Files.readAllBytes(Path.of(words[at + 2])));
            CertificateID asked = id(issuer, words[at + 1]);
            check(issuer, asked, post(words[0], request(asked).getEncoded()));
        }
    }

    private static byte[] post(String url, byte[] body) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url)).version(HttpClient.Version.HTTP_1_1);
        request.header("Content-Type", "application/ocsp-request");
        HttpRequest posted = request.POST(HttpRequest.BodyPublishers.ofByteArray(body)).build();
        return HttpClient.newHttpClient().send(posted, HttpResponse.BodyHandlers.ofByteArray()).body();
    }

    private static ContentVerifierProvider by(X509CertificateHolder signer) throws Exception {
        return new JcaContentVerifierProviderBuilder().setProvider("BC").build(signer);
    }

    private static CertificateID id(X509CertificateHolder issuer, String file) throws Exception {
        X509CertificateHolder certificate = new X509CertificateHolder(Files.readAllBytes(Path.of(file)));
        DigestCalculator sha1 = new JcaDigestCalculatorProviderBuilder().setProvider("BC").build().get(CertificateID.HASH_SHA1);
        return new CertificateID(sha1, issuer, certificate.getSerialNumber());
    }

    private static OCSPReq request(CertificateID id) throws Exception {
        byte[] nonce = new DEROctetString("a nonce of this test".getBytes()).getEncoded();
        Extension extension = new Extension(OCSPObjectIdentifiers.id_pkix_ocsp_nonce, false, nonce);
        return new OCSPReqBuilder().addRequest(id).setRequestExtensions(new Extensions(extension)).build();
    }

    private static void crl(X509CertificateHolder issuer, byte[] octets) throws Exception {
        X509CRLHolder crl = new X509CRLHolder(octets);
        System.out.println("signature " + crl.isSignatureValid(by(issuer)));
        System.out.println("issuer " + crl.getIssuer().equals(issuer.getSubject()));
        System.out.println("entries " + crl.getRevokedCertificates().size());
    }

    private static void check(X509CertificateHolder issuer, CertificateID asked, byte[] octets) throws Exception {
        BasicOCSPResp answer = (BasicOCSPResp) new OCSPResp(octets).getResponseObject();
        X509CertificateHolder signer = answer.getCerts()[0];
        System.out.println("signature " + answer.isSignatureValid(by(signer)));
        System.out.println("delegated " + signer.isSignatureValid(by(issuer)));
        Extension nonce = answer.getExtension(OCSPObjectIdentifiers.id_pkix_ocsp_nonce);
        System.out.println("nonce " + new String(DEROctetString.getInstance(nonce.getParsedValue()).getOctets()));
        for (SingleResp single : answer.getResponses()) {
            System.out.println("asked " + single.getCertID().equals(asked));
            CertificateStatus status = single.getCertStatus();
            String word = status == CertificateStatus.GOOD ? "good" : status instanceof RevokedStatus ? "revoked" : "unknown";
            System.out.println("status " + word);
        }
    }
}
